"""The sample: small, sound, and loaded once however often it is loaded."""

from importlib.resources import files

import pytest
from sqlalchemy import Engine, text

from pgmodern.reference.music import sample

COUNTS = text("""
    SELECT (SELECT count(*) FROM artists), (SELECT count(*) FROM tracks),
           (SELECT count(*) FROM archives), (SELECT count(*) FROM ai_logs)
""")


def test_it_is_small_and_names_its_origin() -> None:
    packed = files("pgmodern.reference.music").joinpath("sample.json.gz").read_bytes()
    content = sample.read()
    assert len(packed) < 500_000
    assert "Billboard Hot 100" in content.origin
    assert 4_500 <= len(content.songs) <= 5_500
    assert len(content.playlists) == 250


def test_every_entry_is_a_song_and_no_song_or_week_stands_twice() -> None:
    content = sample.read()
    assert len(set(content.songs)) == len(content.songs)
    assert len({playlist.id for playlist in content.playlists}) == len(content.playlists)
    used = {entry[0] for playlist in content.playlists for entry in playlist.entries}
    assert used == set(range(len(content.songs)))


@pytest.mark.quick
def test_loaded_twice_it_is_there_once(engine: Engine) -> None:
    content = sample.read()
    sample.load(engine, content)
    with engine.connect() as connection:
        first = connection.execute(COUNTS).one()
    sample.load(engine, content)
    with engine.connect() as connection:
        assert connection.execute(COUNTS).one() == first
    assert first[1:3] == (len(content.songs), len(content.playlists))


def test_a_document_is_in_the_shape_of_archives() -> None:
    playlist = sample.Playlist("1984-06-02", [(0, 1, 1, 9)])
    assert playlist.document([("Time After Time", "Cyndi Lauper")]) == {
        "tracks": [
            {
                "title": "Time After Time",
                "artist": "Cyndi Lauper",
                "position": 1,
                "peak_position": 1,
                "weeks_on_chart": 9,
            }
        ],
        "source": "Billboard Hot 100",
        "year": 1984,
        "date": "1984-06-02",
    }
