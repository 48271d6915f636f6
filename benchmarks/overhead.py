"""What a repository adds to the very statements it sends, sent by psycopg alone."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from benchmarks import conversations, documents, nearest
from benchmarks.chat import LAST, last_messages
from benchmarks.database import load_tracks
from benchmarks.dataset import Dataset
from benchmarks.fuzzy import typos
from benchmarks.latency import beside_psycopg
from benchmarks.report import Figure, Report
from pgmodern.reference.chat import Conversation
from pgmodern.reference.music import ArchiveRepository, TrackRepository

SEED, QUERIES = 8, 400


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of asking, and its queries."""

    what: str
    call: Callable[[Session, Any], object]
    queries: Sequence[Any]


def kinds(engine: Engine, dataset: Dataset) -> list[Kind]:
    """Load what is asked for, and return the five ways of asking."""
    songs = dataset.tracks()
    load_tracks(engine, songs)
    playlists = list(documents.archives(songs, dataset.playlists("current")))
    documents.load(engine, playlists)
    split = nearest.held_out(dataset.vectors())
    nearest.load(engine, split, [f"{song.title} - {song.artist}" for song in songs])
    conversations.load(engine, dataset)
    chance = random.Random(SEED)
    titles = [chance.choice(songs).title for _ in range(QUERIES)]
    misspelt = chance.sample(typos([song.title for song in songs]), QUERIES)
    artists = sorted({song.artist for playlist in playlists for song in playlist.songs})
    with Session(engine) as session:
        users = sorted(session.scalars(select(Conversation.user_id).distinct()))
    users.remove(conversations.HEAVY)
    return [
        Kind("nearest", nearest.ids, list(split.asked[:QUERIES])),
        Kind("fuzzy", lambda s, typo: TrackRepository(s).fuzzy(typo.typed), misspelt),
        Kind("full text", lambda s, title: TrackRepository(s).full_text(title), titles),
        Kind(
            "documents",
            lambda s, artist: ArchiveRepository(s).holding_artist(artist),
            chance.choices(artists, k=QUERIES),
        ),
        Kind(f"the last {LAST} of each", last_messages, chance.choices(users, k=QUERIES)),
    ]


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure each way of asking beside psycopg, in turns."""
    figures = []
    for kind in kinds(engine, dataset):
        ours, raw = beside_psycopg(engine, kind.queries, kind.call)
        figures.append(Figure(f"{kind.what}: p50", ours.p50, "ms", raw.p50))
        times = ours.p50 / raw.p50
        figures.append(Figure(f"{kind.what}: times that of psycopg", times, "x", at_most=1.2))
    return Report(
        "overhead: what a repository adds to its statements",
        "psycopg alone, binary, prepared",
        figures,
        [
            f"{QUERIES} queries of each kind, seed {SEED}; first the one, then the other, in "
            "turns, both in autocommit mode. The data are those of the questions `nearest`, "
            "`fuzzy`, `full_text`, `documents` and `chat`.",
        ],
    )
