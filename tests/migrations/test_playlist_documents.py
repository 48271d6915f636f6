"""What the migration makes of playlist documents: every legacy shape, and everything else."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, create_engine
from sqlalchemy.pool import NullPool

Connect = Callable[[URL], psycopg.Connection]
Read = Callable[[str], tuple[str | None, str | None]]
ONE_DATABASE = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
TRACK = '{"artist": "Abba", "title": "Waterloo"}'
PLAYLIST = f'{{"tracks": [{TRACK}]}}'


@pytest.fixture(scope="module")
def database(migrated_database_url: URL) -> Iterator[psycopg.Connection]:
    """A connection to a migrated database, for reading."""
    url = migrated_database_url.set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as database:
        database.execute("SET statement_timeout = '20s'")
        yield database


@pytest.fixture
def read(database: psycopg.Connection) -> Read:
    """Return what `read_playlist` makes of a JSON text: the document as text, and the reason."""

    def run(stored: str) -> tuple[str | None, str | None]:
        row = database.execute(
            "SELECT document::text, reason FROM read_playlist(%s::jsonb)", [stored]
        ).fetchone()
        assert row is not None
        return row

    return run


@pytest.fixture
def canonical(database: psycopg.Connection) -> Callable[[str], str]:
    """Return a JSON text as JSONB writes it; two texts are equal when nothing at all differs."""

    def run(document: str) -> str:
        row = database.execute("SELECT %s::jsonb::text", [document]).fetchone()
        assert row is not None
        return str(row[0])

    return run


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ('["Abba - Waterloo"]', PLAYLIST),
        (f"[{TRACK}]", PLAYLIST),
        ('{"tracks": [{"artistName": "Abba", "trackName": "Waterloo"}]}', PLAYLIST),
        (PLAYLIST, PLAYLIST),
        ('[{"artistName": "Abba", "title": "Waterloo"}]', PLAYLIST),
        ('{"tracks": ["Abba - Waterloo"]}', PLAYLIST),
        (
            f'["Abba - Waterloo", {TRACK}, {{"artistName": "Abba", "trackName": "Waterloo"}}]',
            f'{{"tracks": [{TRACK}, {TRACK}, {TRACK}]}}',
        ),
        ("[]", '{"tracks": []}'),
        ('{"tracks": []}', '{"tracks": []}'),
        (
            '{"tracks": [{"artistName": "Abba", "trackName": "T", "isrc": null, "tags": [1, {}]}],'
            ' "genre": "pop", "nested": {"tracks": ["a"], "artistName": "b"}, "": 0}',
            '{"tracks": [{"artist": "Abba", "title": "T", "isrc": null, "tags": [1, {}]}],'
            ' "genre": "pop", "nested": {"tracks": ["a"], "artistName": "b"}, "": 0}',
        ),
        (
            '[{"artist": "Abba", "artistName": "Abba", "trackName": "T", "title": "T"}]',
            '{"tracks": [{"artist": "Abba", "title": "T"}]}',
        ),
        (
            '{"tracks": [{"artist": "", "title": "", "x": {"artistName": "keep me"}}]}',
            '{"tracks": [{"artist": "", "title": "", "x": {"artistName": "keep me"}}]}',
        ),
        (
            '["Jay-Z - 99 Problems - Live - 2004"]',
            '{"tracks": [{"artist": "Jay-Z", "title": "99 Problems - Live - 2004"}]}',
        ),
        (
            '["A-ha - Take On Me", "a - - b", " Abba  -\\tWaterloo "]',
            '{"tracks": [{"artist": "A-ha", "title": "Take On Me"}, {"artist": "a", "title": "- b"}'
            ', {"artist": " Abba", "title": "Waterloo "}]}',
        ),
        (
            '["Multi\\nline - Two\\nlines", "\\u00c9 - \\ud83c\\udfb5", "50% - :x {y} \\\\"]',
            '{"tracks": [{"artist": "Multi\\nline", "title": "Two\\nlines"},'
            ' {"artist": "É", "title": "🎵"}, {"artist": "50%", "title": ":x {y} \\\\"}]}',
        ),
    ],
)
@pytest.mark.parametrize("times", [0, 1, 2, 3], ids="encoded {} times".format)
def test_a_document_of_any_shape_is_read(
    read: Read, canonical: Callable[[str], str], stored: str, expected: str, times: int
) -> None:
    for _ in range(times):
        stored = json.dumps(stored)
    assert read(stored) == (canonical(expected), None)


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        ('["Waterloo"]', 'track 1 is not written as "Artist - Title"'),
        ('["Abba-Waterloo"]', 'track 1 is not written as "Artist - Title"'),
        ('["Abba - "]', 'track 1 is not written as "Artist - Title"'),
        ('[" - Waterloo"]', 'track 1 is not written as "Artist - Title"'),
        ('[""]', 'track 1 is not written as "Artist - Title"'),
        ("[null]", "track 1 is a null, not a track"),
        ("[7]", "track 1 is a number, not a track"),
        ("[true]", "track 1 is a boolean, not a track"),
        ('[["Abba", "Waterloo"]]', "track 1 is a array, not a track"),
        ("[{}]", "track 1 has no artist"),
        ('[{"artist": "Abba"}]', "track 1 has no title"),
        ('[{"artist": null, "title": "T"}]', "track 1 has no artist"),
        ('[{"artist": {"name": "Abba"}, "title": "T"}]', "track 1 has no artist"),
        ('[{"artist": "Abba", "title": 99}]', "track 1 has no title"),
        ('[{"artistName": ["Abba"], "trackName": "T"}]', "track 1 has no artist"),
        (
            '[{"artist": "Abba", "artistName": "ABBA", "title": "T"}]',
            "track 1 has a artist and a different artistName",
        ),
        (
            '[{"artist": "A", "title": null, "trackName": "T"}]',
            "track 1 has a title and a different trackName",
        ),
        (f'[{TRACK}, "a - b", {{"artist": "a"}}, null]', "track 3 has no title"),
        (f"[{', '.join([TRACK, 'null', *[TRACK] * 7, 'null'])}]", "track 2 is a null, not a track"),
        ("{}", "has no list of tracks"),
        ('{"tracks": null}', "has no list of tracks"),
        ('{"tracks": {"0": "Abba - Waterloo"}}', "has no list of tracks"),
        ('{"tracks": "[]"}', "has no list of tracks"),
        ('{"Tracks": []}', "has no list of tracks"),
        ("null", "is a null, not a playlist"),
        ("true", "is a boolean, not a playlist"),
        ("1e400", "is a number, not a playlist"),
        ('"7"', "is a number, not a playlist"),
        ('"null"', "is a null, not a playlist"),
        ('"\\"\\""', "is a string that holds no JSON"),
        ('""', "is a string that holds no JSON"),
        ('"Abba - Waterloo"', "is a string that holds no JSON"),
        ('"[\\"Abba - Waterloo\\""', "is a string that holds no JSON"),
        ('"NaN"', "is a string that holds no JSON"),
        ('"[\\"a\\\\u0000 - b\\"]"', "is a string that holds no JSON"),
        ('"[\\"a\\\\ud800 - b\\"]"', "is a string that holds no JSON"),
        ('"1e999999"', "is a string that holds no JSON"),
    ],
)
def test_what_is_not_understood_comes_back_as_a_reason(
    read: Read, stored: str, reason: str
) -> None:
    assert read(stored) == (None, reason)


@pytest.mark.parametrize(
    "encoded",
    [
        '{"tracks": ["Abba - Waterloo"], "tracks": []}',
        '{"tracks": [{"artist": "Abba", "artist": "ABBA", "title": "T"}]}',
        '{"tracks": [], "notes": {"mood": 1, "mood": 2}}',
    ],
)
def test_a_key_that_an_encoded_document_repeats_is_not_lost(read: Read, encoded: str) -> None:
    document, reason = read(json.dumps(encoded))
    assert document is None
    assert reason == "is a string that holds a key twice"


@pytest.mark.parametrize(
    "number",
    ["1.10", "-0.000", "1e400", "1E-400", "123456789012345678901234567890", f"0.{'3' * 90}"],
)
def test_numbers_keep_every_digit(read: Read, canonical: Callable[[str], str], number: str) -> None:
    stored = (
        f'{{"tracks": [{{"artistName": "A", "trackName": "T", "n": {number}}}], "n": {number}}}'
    )
    expected = f'{{"tracks": [{{"artist": "A", "title": "T", "n": {number}}}], "n": {number}}}'
    assert read(stored) == (canonical(expected), None)
    assert read(json.dumps(stored)) == (canonical(expected), None)
    document, _ = read(stored)
    kept = re.findall(r'"n": ([^,}]+)', document or "")
    assert kept == [canonical(number)] * 2


@pytest.mark.parametrize("depth", [1000, 5000])
def test_deep_documents_are_kept_or_refused(
    read: Read, canonical: Callable[[str], str], depth: int
) -> None:
    deep = "[" * depth + "]" * depth
    stored = f'{{"tracks": [{{"artistName": "A", "trackName": "T", "x": {deep}}}], "x": {deep}}}'
    expected = stored.replace("artistName", "artist").replace("trackName", "title")
    assert read(stored) == (canonical(expected), None)
    assert read(json.dumps(stored)) == (canonical(expected), None)
    assert read(deep) == (None, "track 1 is a array, not a track")


def test_an_encoded_document_that_is_too_deep_for_jsonb_is_refused(read: Read) -> None:
    assert read(json.dumps("[" * 300_000)) == (None, "is a string that holds no JSON")


@pytest.mark.parametrize(
    ("tracks", "expected"),
    [
        (["Abba - Waterloo"] * 60_000, 60_000),
        ([{"artistName": "A", "trackName": "T"}] * 30_000, 30_000),
        (["x" * 1_000_000 + " - y"], 1),
        (["x - " + "y" * 1_000_000], 1),
        (["x - " * 250_000 + "y"], 1),
        (["x" + " " * 1_000_000], None),
        (["-" * 1_000_000], None),
        (["x-" * 500_000], None),
    ],
    ids=["strings", "objects", "artist", "title", "dashes", "blanks", "only dashes", "hyphens"],
)
def test_a_megabyte_is_read_in_seconds(read: Read, tracks: list[Any], expected: int | None) -> None:
    for stored in (json.dumps(tracks), json.dumps(json.dumps(tracks))):
        document, _ = read(stored)
        found = None if document is None else len(json.loads(document)["tracks"])
        assert found == expected


class Number(str):
    """The text of a JSON number."""

    __slots__ = ()


def written(value: Any) -> str:
    """Return a value as JSON text, its numbers digit by digit."""
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        members = (f"{json.dumps(key)}: {written(member)}" for key, member in value.items())
        return f"{{{', '.join(members)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    return json.dumps(value)


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
numbers = st.from_regex(
    r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,15})?([eE][-+]?[0-9]{1,2})?", fullmatch=True
)
scalars = st.none() | st.booleans() | numbers.map(Number) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
OURS = {"artist", "title", "artistName", "trackName", "tracks"}
extras = st.dictionaries(texts.filter(lambda key: key not in OURS), values, max_size=3)
tracks = st.builds(
    lambda artist, title, more: {"artist": artist, "title": title} | more, texts, texts, extras
)


def may_be_a_string(track: dict[str, Any]) -> bool:
    """Tell whether "Artist - Title" says all there is to say of a track, unambiguously."""
    both = f"{track['artist']} - {track['title']}"
    parts = re.match(r"(\S|\S.*?\S)\s+-\s+(\S.*)", both, re.DOTALL)
    return (
        len(track) == 2
        and parts is not None
        and parts[1] == track["artist"]
        and (parts[2] == track["title"] and track["artist"].isascii() and both.isascii())
    )


@st.composite
def playlists(draw: st.DrawFn) -> tuple[str, str]:
    """Draw a playlist: as stored in some legacy shape, and as it is written today."""
    today = draw(st.lists(tracks, max_size=4))
    stored: list[Any] = []
    for track in today:
        shapes = ["today", "camel case", *["string"] * may_be_a_string(track)]
        match draw(st.sampled_from(shapes)):
            case "string":
                stored.append(f"{track['artist']} - {track['title']}")
            case "camel case":
                names = {"artist": "artistName", "title": "trackName"}
                stored.append({names.get(key, key): track[key] for key in track})
            case _:
                stored.append(track)
    whole: dict[str, Any] = draw(st.just({}) | extras)
    bare = not whole and draw(st.booleans())
    text = written(stored if bare else whole | {"tracks": stored})
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        text = json.dumps(text)
    return text, written(whole | {"tracks": today})


@ONE_DATABASE
@given(playlists())
def test_any_playlist_of_any_shape_becomes_todays_and_stays_so(
    read: Read, canonical: Callable[[str], str], playlist: tuple[str, str]
) -> None:
    stored, expected = playlist
    document, reason = read(stored)
    assert (document, reason) == (canonical(expected), None)
    assert document is not None
    assert read(document) == (document, None)


names = st.sampled_from(sorted(OURS)) | texts
almost = st.recursive(
    scalars | st.sampled_from(["[]", '{"tracks": []}', PLAYLIST]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5),
    max_leaves=12,
)
odd_tracks = st.sampled_from(["a - b", "a - b - c", " a -\n- ", "a-b"]) | st.dictionaries(
    names, st.sampled_from(["a", "a", "a", "b", Number("1")]), min_size=2, max_size=6
)
odd_playlists = st.lists(odd_tracks, max_size=2).flatmap(
    lambda tracks: st.just(tracks) | extras.map(lambda more: more | {"tracks": tracks})
)


@ONE_DATABASE
@given(almost | odd_playlists | (almost | odd_playlists).map(written))
def test_nothing_of_any_json_is_lost(
    read: Read, canonical: Callable[[str], str], value: Any
) -> None:
    document, reason = read(written(value))
    if document is None:
        assert reason
        return
    assert reason is None
    assert read(document) == (document, None)
    stored = decoded(written(value), canonical)
    result = json.loads(document, parse_float=Number, parse_int=Number)
    before = stored if isinstance(stored, list) else stored.pop("tracks")
    after = result.pop("tracks")
    assert result == ({} if isinstance(stored, list) else stored)
    assert len(after) == len(before)
    for old, new in zip(before, after, strict=True):
        assert_same_track(old, new)


def decoded(text: str, canonical: Callable[[str], str]) -> Any:
    """Return what a JSON text holds, however often it is encoded."""
    value: Any = text
    while isinstance(value, str) and not isinstance(value, Number):
        value = json.loads(canonical(value), parse_float=Number, parse_int=Number)
    return value


def assert_same_track(old: Any, new: dict[str, Any]) -> None:
    """Assert that a track holds what it held before under today's names, and nothing else."""
    artist, title = new["artist"], new["title"]
    if isinstance(old, str):
        assert set(new) == {"artist", "title"}
        assert re.fullmatch(rf"{re.escape(artist)}\s+-\s+{re.escape(title)}", old)
        return
    assert {old.get("artist", artist), old.get("artistName", artist)} == {artist}
    assert {old.get("title", title), old.get("trackName", title)} == {title}
    legacy = {"artistName", "trackName"}
    assert {k: v for k, v in old.items() if k not in legacy} == {
        k: v for k, v in new.items() if k not in {"artist", "title"} - set(old)
    }


STORED = ('["Abba - Waterloo"]', PLAYLIST, '["Waterloo"]', '"\\"x"', "7", '{"tracks": {}}')


@pytest.mark.reference
def test_the_migration_lists_what_it_cannot_read_once_and_leaves_it(
    empty_database_url: URL, alembic_ini: Path, connect: Connect
) -> None:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    config = Config(alembic_ini, attributes={"connection": engine})
    command.upgrade(config, "0003")
    database = connect(empty_database_url)
    for number, document in enumerate(STORED):
        database.execute(
            "INSERT INTO archives (user_id, name, playlist_data) "
            "VALUES (gen_random_uuid(), %s, %s::jsonb)",
            [str(number), document],
        )
    listed = (
        "SELECT name, playlist_data::text, reason FROM archives "
        "JOIN unreadable_archives ON archive_id = archives.id ORDER BY name"
    )
    expected = [
        ("2", '["Waterloo"]', 'track 1 is not written as "Artist - Title"'),
        ("3", '"\\"x"', "is a string that holds no JSON"),
        ("4", "7", "is a number, not a playlist"),
        ("5", '{"tracks": {}}', "has no list of tracks"),
    ]
    for _ in range(2):
        command.upgrade(config, "0004")
        assert database.execute(listed).fetchall() == expected
        shapes = database.execute(
            "SELECT count(*) FROM archives WHERE playlist_data = %s::jsonb", [PLAYLIST]
        )
        assert shapes.fetchone() == (2,)
        command.stamp(config, "0003")
    database.execute("UPDATE archives SET playlist_data = '[]' WHERE name = '4'")
    command.upgrade(config, "0004")
    assert [row[0] for row in database.execute(listed)] == ["2", "3", "5"]
