"""Whether a title with one typo finds its song, and how fast."""

import random
import string
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from benchmarks.database import load_tracks
from benchmarks.dataset import Dataset
from benchmarks.latency import timed
from benchmarks.report import Figure, Report
from pgmodern.reference.music import Track, TrackHit, TrackRepository

SEED = 17  # not the one whose typos the thresholds were chosen by
QUERIES, BASELINE_QUERIES = 2_400, 100
SHORTEST = 5
LENGTHS = ((5, 7), (8, 12), (13, 20), (21, 10_000))
EDITS = ("insert", "delete", "replace", "swap")


@dataclass(frozen=True, slots=True)
class Typo:
    """A title and what became of it under one random edit."""

    title: str
    edit: str
    typed: str


def typo(title: str, edit: str, chance: random.Random) -> Typo:
    """Insert, delete or replace one character, or swap two neighbours, at a random place."""
    place = chance.randrange(len(title) - (edit == "swap"))
    letter = chance.choice(string.ascii_lowercase)
    before, after = title[:place], title[place:]
    typed = {
        "insert": before + letter + after,
        "delete": before + after[1:],
        "replace": before + letter + after[1:],
        "swap": before + after[:2][::-1] + after[2:],
    }[edit]
    return Typo(title, edit, typed)


def typos(titles: Sequence[str]) -> list[Typo]:
    """Return random titles, each with one edit; the four kinds in equal shares.

    A swap of two equal letters, or a letter replaced by itself, is no edit: it is drawn again.
    """
    chance = random.Random(SEED)
    long_enough = [title for title in titles if len(title) >= SHORTEST]
    chosen: list[Typo] = []
    while len(chosen) < QUERIES:
        edited = typo(chance.choice(long_enough), EDITS[len(chosen) % len(EDITS)], chance)
        if edited.typed.lower() != edited.title.lower():
            chosen.append(edited)
    return chosen


def hit_rate(queries: Sequence[Typo], found: Sequence[Sequence[str]]) -> float:
    """Return how often a title equal to the original's, ignoring case, is among the found."""
    hits = (
        query.title.lower() in map(str.lower, titles)
        for query, titles in zip(queries, found, strict=True)
    )
    return sum(hits) / len(queries)


def search(session: Session, query: Typo) -> list[TrackHit]:
    """Search as an application does."""
    return TrackRepository(session).fuzzy(query.typed)


def by_similarity(session: Session, query: Typo) -> list[str]:
    """Search without an index: the similarity of every title."""
    nearest = func.similarity(Track.title, query.typed).desc()
    return [
        title
        for _, title in session.execute(select(Track.id, Track.title).order_by(nearest).limit(10))
    ]


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure hit@10 and latency."""
    songs = dataset.tracks()
    load_tracks(engine, songs)
    queries = typos([song.title for song in songs])
    ours = timed(engine, queries, search)
    few = queries[:BASELINE_QUERIES]
    scan = timed(engine, few, by_similarity)
    found = [[hit.title for hit in hits] for hits in ours.results]
    figures = [
        Figure("hit@10", hit_rate(queries, found), "", at_least=0.97),
        Figure(
            f"hit@10, the baseline's {BASELINE_QUERIES} queries",
            hit_rate(few, found[:BASELINE_QUERIES]),
            "",
            hit_rate(few, scan.results),
        ),
        Figure("p50", ours.p50, "ms", scan.p50, ratio_at_least=10),
        Figure("p95", ours.p95, "ms", scan.p95, at_most=20, ratio_at_least=10),
    ]
    for edit in EDITS:
        chosen = [query.edit == edit for query in queries]
        hit = hit_rate(
            [query for query, keep in zip(queries, chosen, strict=True) if keep],
            [titles for titles, keep in zip(found, chosen, strict=True) if keep],
        )
        figures.append(Figure(f"hit@10, {edit}", hit, ""))
    for shortest, longest in LENGTHS:
        part = ours.of([shortest <= len(query.title) <= longest for query in queries])
        label = f"{shortest} to {longest}" if longest < 10_000 else f"{shortest} and more"
        figures.append(Figure(f"p95, {label} characters ({len(part.results)} queries)", part.p95))
    return Report(
        "fuzzy: titles with one typo",
        "ORDER BY similarity() DESC",
        figures,
        [
            f"{len(songs):,} tracks; {len(queries):,} real titles of {SHORTEST}+ characters with "
            f"one random edit, {BASELINE_QUERIES} of them for the baseline; seed {SEED}.",
            "A hit: a title equal to the original's, ignoring case, is among the 10.",
        ],
    )
