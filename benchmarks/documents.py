"""How fast playlists are found by what their JSONB documents hold."""

import json
import random
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from benchmarks.database import copy, settle, without
from benchmarks.dataset import Dataset, Playlist, Song
from benchmarks.latency import timed
from benchmarks.report import Figure, Report
from pgmodern.queries import Page
from pgmodern.reference.music import ArchiveHit, ArchiveRepository

SEED = 4
ARCHIVES, QUERIES, BASELINE_QUERIES = 100_000, 1_000, 15
GENRES = ("pop", "rock", "hip hop", "r&b", "latin", "edm", "jazz", "country", "soul", "classical")
MOODS = ("calm", "happy", "sad", "focus", "party", "workout")
SOURCES = ("import", "radio", "manual", "assistant")
FIRST_YEAR, LAST_YEAR = 1950, 2026
NEWEST = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of asking, its queries, and whether the goal is for it."""

    what: str
    ask: Callable[[ArchiveRepository, Any], Page[ArchiveHit]]
    queries: Sequence[Any]
    at_most: float | None = None
    scans: tuple[str, ...] = ("bitmapscan",)  # what the baseline does without: all that GIN serves


def archives(songs: Sequence[Song], real: Sequence[Playlist]) -> Iterator[Playlist]:
    """Yield the real playlists, then made ones of 5 to 60 real tracks, 100,000 in all."""
    chance = random.Random(SEED)
    yield from real
    for number in range(ARCHIVES - len(real)):
        yield Playlist(f"Playlist {number}", chance.choices(songs, k=chance.randint(5, 60)))


def load(engine: Engine, playlists: Sequence[Playlist]) -> None:
    """Load the playlists in today's shape, half of them with further keys."""
    copy(engine, "archives", ["user_id", "name", "playlist_data", "created_at"], rows(playlists))
    settle(engine, "archives")


def rows(playlists: Sequence[Playlist]) -> Iterator[tuple[uuid.UUID, str, str, datetime]]:
    """Yield for each its user, name, document and instant."""
    chance = random.Random(SEED)
    for playlist in playlists:
        document: dict[str, Any] = {
            "tracks": [{"artist": song.artist, "title": song.title} for song in playlist.songs]
        }
        if chance.random() < 0.5:
            document |= {
                "genre": chance.choice(GENRES),
                "mood": chance.choice(MOODS),
                "source": chance.choice(SOURCES),
                "year": chance.randint(FIRST_YEAR, LAST_YEAR),
            }
        user = uuid.UUID(int=chance.getrandbits(128), version=4)
        created = NEWEST - timedelta(minutes=chance.randrange(5_000_000))
        yield user, playlist.name, json.dumps(document, ensure_ascii=False), created


def kinds(playlists: Sequence[Playlist]) -> list[Kind]:
    """Return the ways of asking; what is asked for occurs."""
    chance = random.Random(SEED)
    occurring = [song for playlist in playlists for song in playlist.songs]
    artists = sorted({song.artist for song in occurring})
    any_artist = [chance.choice(artists) for _ in range(QUERIES)]
    any_song = [chance.choice(occurring) for _ in range(QUERIES)]
    mixed: list[dict[str, Any]] = [
        {"genre": chance.choice(GENRES), "tracks": [{"artist": artist}]} for artist in any_artist
    ]
    years = [chance.randint(FIRST_YEAR, LAST_YEAR - 2) for _ in range(QUERIES)]
    return [
        Kind("holding_artist, any artist", ArchiveRepository.holding_artist, any_artist, 5),
        Kind(
            "holding_track",
            lambda archive, song: archive.holding_track(song.title, song.artist),
            any_song,
            5,
        ),
        Kind("containing a genre and an artist", ArchiveRepository.containing, mixed, 5),
        Kind(
            "with_key_between, three years",
            lambda archive, year: archive.with_key_between("year", year, year + 2),
            years,
            scans=("bitmapscan", "indexscan"),
        ),
        Kind(
            "holding_artist, as often as listed",
            ArchiveRepository.holding_artist,
            [song.artist for song in any_song],
        ),
    ]


def measure(engine: Engine, kind: Kind) -> list[Figure]:
    """Ask for the first page of each, with the indexes and without."""

    def call(session: Session, query: Any) -> Page[ArchiveHit]:
        return kind.ask(ArchiveRepository(session), query)

    ours = timed(engine, kind.queries, call)
    scanning = without(engine, *kind.scans)
    scan = timed(scanning, kind.queries[:BASELINE_QUERIES], call)
    scanning.dispose()
    return [
        Figure(f"{kind.what}: p50", ours.p50, "ms", scan.p50),
        Figure(f"{kind.what}: p95", ours.p95, "ms", scan.p95, at_most=kind.at_most),
    ]


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure the first page's latency, against sequential scans."""
    playlists = list(archives(dataset.tracks(), dataset.playlists("current")))
    load(engine, playlists)
    asked = kinds(playlists)
    figures = [figure for kind in asked for figure in measure(engine, kind)]
    huge = dataset.playlists("cumulative")
    load(engine, huge)
    longest = max(len(playlist.songs) for playlist in huge)
    label = f"{asked[0].what} [*]"
    figures += measure(engine, Kind(label, asked[0].ask, asked[0].queries))
    tracks = sum(len(playlist.songs) for playlist in playlists)
    return Report(
        "documents: archived playlists by what they hold, the newest 20",
        "sequential scan",
        figures,
        [
            f"{len(playlists):,} archives of {tracks:,} tracks: 250 real playlists, the rest made "
            f"of 5 to 60 real tracks. {QUERIES:,} queries of each kind, {BASELINE_QUERIES} of the "
            f"baseline; seed {SEED}.",
            f"[*] after {len(huge)} lists of up to {longest:,} tracks came in.",
            '"any artist" draws from the artists that occur, each as likely; "as often as listed" '
            "draws an artist as often as playlists list one, so up to a fifth of all rows match.",
        ],
    )
