"""How fast a ranked full-text search of titles is."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, and_, func, or_, select
from sqlalchemy.orm import Session

from benchmarks.database import load_tracks, without
from benchmarks.dataset import Dataset
from benchmarks.latency import timed
from benchmarks.report import Figure, Report
from pgmodern.indexes.search_vector import document
from pgmodern.reference.music import Track, TrackHit, TrackRepository

SEED = 3
QUERIES, BASELINE_QUERIES = 2_400, 60
KINDS = ("one word", "two words", "three words", "phrase", "or", "without")


@dataclass(frozen=True, slots=True)
class Words:
    """Words of a real title, and how they are asked for."""

    kind: str
    words: tuple[str, ...]

    @property
    def typed(self) -> str:
        """The query in web-search syntax."""
        if self.kind == "phrase":
            return f'"{" ".join(self.words)}"'
        return {"or": " or ", "without": " -"}.get(self.kind, " ").join(self.words)


def queries_from(titles: Sequence[str], count: int) -> list[Words]:
    """Return queries of every kind in equal shares, out of random titles.

    So a word is asked for as often as it occurs: "love" and "the" are among them.
    """
    chance = random.Random(SEED)
    split = [re.findall(r"[^\W_]+", title.lower()) for title in titles]
    chosen: list[Words] = []
    while len(chosen) < count:
        kind = KINDS[len(chosen) % len(KINDS)]
        words = chance.choice(split)
        number = {"one word": 1, "three words": 3}.get(kind, 2)
        if kind in {"or", "without"}:
            words = [chance.choice(each) for each in (words, chance.choice(split)) if each]
        if len(set(words)) < number:
            continue
        first = chance.randrange(len(words) - number + 1)
        picked = words[first : first + number] if kind == "phrase" else chance.sample(words, number)
        chosen.append(Words(kind, tuple(picked)))
    return chosen


def search(session: Session, query: Words) -> list[TrackHit]:
    """Search as an application does: ranked, with the artist and a highlight."""
    return TrackRepository(session).full_text(query.typed)


def by_pattern(session: Session, query: Words) -> list[str]:
    """Search by ILIKE, ordered by title, as it knows no rank."""
    contain = [Track.title.icontains(word, autoescape=True) for word in query.words]
    condition: ColumnElement[bool] = and_(*contain)
    if query.kind == "phrase":
        condition = Track.title.icontains(" ".join(query.words), autoescape=True)
    elif query.kind == "or":
        condition = or_(*contain)
    elif query.kind == "without":
        condition = and_(contain[0], ~contain[1])
    return list(
        session.scalars(select(Track.title).where(condition).order_by(Track.title).limit(10))
    )


def by_parsing(session: Session, query: Words) -> list[str]:
    """Search by a tsvector that is made of every title while searching, ranked."""
    parsed = Track.search.query(query.typed)
    made = document([(Track.__table__.c.title, "A")], "public.simple_unaccent")
    best = func.ts_rank(made, parsed, 32).desc()
    matching = select(Track.title).where(made.bool_op("@@")(parsed))
    return list(session.scalars(matching.order_by(best, Track.id).limit(10)))


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure latency, against both ways of doing it without an index."""
    songs = dataset.tracks()
    load_tracks(engine, songs)
    queries = queries_from([song.title for song in songs], QUERIES)
    ours = timed(engine, queries, search)
    few = queries[:BASELINE_QUERIES]
    scanning = without(engine, "bitmapscan")  # a GIN index serves no other scan
    pattern = timed(scanning, few, by_pattern)
    parsing = timed(scanning, few, by_parsing)
    scanning.dispose()
    figures = [
        Figure("p50, beside ILIKE", ours.p50, "ms", pattern.p50),
        Figure("p95, beside ILIKE", ours.p95, "ms", pattern.p95, at_most=20),
        Figure("p50, beside to_tsvector()", ours.p50, "ms", parsing.p50),
        Figure("p95, beside to_tsvector()", ours.p95, "ms", parsing.p95, at_most=20),
    ]
    for kind in KINDS:
        part = ours.of([query.kind == kind for query in queries])
        example = next(query.typed for query in queries if query.kind == kind)
        figures.append(Figure(f"p95, {kind}: {example}", part.p95))
    return Report(
        "full_text: words of titles, ranked and highlighted",
        "sequential scans",
        figures,
        [
            f"{len(songs):,} tracks; {len(queries):,} queries of words of real titles, as frequent "
            f"as they occur; {BASELINE_QUERIES} for each baseline; seed {SEED}.",
            "ILIKE does not rank; to_tsvector() parses each title while searching, and ranks.",
        ],
    )
