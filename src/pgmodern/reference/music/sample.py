"""The sample that ships: bare facts of the weekly Billboard Hot 100, 1958 to today."""

import gzip
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from sqlalchemy import Connection, Engine, text

from pgmodern.progress import progress

SAMPLE_USER = uuid.uuid5(uuid.NAMESPACE_URL, "pgmodern/sample")
_BATCH = 500
_LOGS = 1500

Song = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Playlist:
    """A week's chart: the songs by their number, with position, peak and weeks on the chart."""

    date: str
    entries: list[tuple[int, int, int, int]]

    @property
    def id(self) -> uuid.UUID:
        """The same for the same week, whenever it is loaded."""
        return uuid.uuid5(SAMPLE_USER, self.date)

    def document(self, songs: Sequence[Song]) -> dict[str, Any]:
        """The playlist in the shape that archives hold."""
        tracks = [
            {
                "title": songs[number][0],
                "artist": songs[number][1],
                "position": position,
                "peak_position": peak,
                "weeks_on_chart": weeks,
            }
            for number, position, peak, weeks in self.entries
        ]
        year = int(self.date[:4])
        return {"tracks": tracks, "source": "Billboard Hot 100", "year": year, "date": self.date}


@dataclass(frozen=True, slots=True)
class Sample:
    """Songs as (title, artist), playlists, and where the facts are from."""

    origin: str
    songs: list[Song]
    playlists: list[Playlist]


def read() -> Sample:
    """Read the sample from the package."""
    packed = files("pgmodern.reference.music").joinpath("sample.json.gz").read_bytes()
    content = json.loads(gzip.decompress(packed))
    return Sample(
        content["origin"],
        [(title, artist) for title, artist in content["songs"]],
        [
            Playlist(each["date"], [tuple(entry) for entry in each["entries"]])
            for each in content["playlists"]
        ],
    )


def load(engine: Engine, sample: Sample) -> None:
    """Add what the database lacks of the sample; run twice, it adds nothing the second time."""
    total = len(sample.songs) + len(sample.playlists)
    with progress("loading the sample", total) as advance, engine.connect() as connection:
        for start in range(0, len(sample.songs), _BATCH):
            songs = sample.songs[start : start + _BATCH]
            with connection.begin():
                _add_songs(connection, songs)
            advance(len(songs))
        for playlist in sample.playlists:
            with connection.begin():
                _add_playlist(connection, playlist, sample.songs)
            advance(1)
        with connection.begin():
            _add_logs(connection, sample.songs[:: max(1, len(sample.songs) // _LOGS)])
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM (ANALYZE) artists, tracks, archives, ai_logs"))


def _add_songs(connection: Connection, songs: Sequence[Song]) -> None:
    parameters = {"titles": [title for title, _ in songs], "artists": [a for _, a in songs]}
    connection.execute(_ARTISTS, parameters)
    connection.execute(_TRACKS, parameters)


def _add_playlist(connection: Connection, playlist: Playlist, songs: Sequence[Song]) -> None:
    parameters = {
        "id": playlist.id,
        "user_id": SAMPLE_USER,
        "name": f"Hot 100 of {playlist.date}",
        "document": json.dumps(playlist.document(songs)),
        "created_at": playlist.date,
    }
    connection.execute(_ARCHIVE, parameters)


def _add_logs(connection: Connection, songs: Sequence[Song]) -> None:
    prompts = [f"Play me something like {title} by {artist}" for title, artist in songs]
    connection.execute(_LOG, {"prompts": prompts, "user_id": SAMPLE_USER})


_ARTISTS = text("""
    INSERT INTO artists (name)
    SELECT DISTINCT given.name FROM unnest(CAST(:artists AS text[])) AS given (name)
    WHERE NOT EXISTS (SELECT FROM artists WHERE artists.name = given.name)
""")
_TRACKS = text("""
    INSERT INTO tracks (artist_id, title)
    SELECT DISTINCT ON (given.title, given.artist) artist.id, given.title
    FROM unnest(CAST(:titles AS text[]), CAST(:artists AS text[])) AS given (title, artist)
    JOIN artists AS artist ON artist.name = given.artist
    WHERE NOT EXISTS (
        SELECT FROM tracks WHERE tracks.artist_id = artist.id AND tracks.title = given.title
    )
    ORDER BY given.title, given.artist, artist.id
""")
_ARCHIVE = text("""
    INSERT INTO archives (id, user_id, name, playlist_data, created_at)
    VALUES (:id, :user_id, :name, CAST(:document AS jsonb), CAST(:created_at AS date))
    ON CONFLICT (id) DO NOTHING
""")
_LOG = text("""
    INSERT INTO ai_logs (user_id, prompt)
    SELECT :user_id, given.prompt FROM unnest(CAST(:prompts AS text[])) AS given (prompt)
    WHERE NOT EXISTS (SELECT FROM ai_logs WHERE ai_logs.prompt = given.prompt)
""")
