"""How relevant what is found is, by human judgement: full text, vectors, and both fused."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, Engine, MetaData, Table, Text, cast, func, insert, select
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR
from sqlalchemy.orm import Session

from benchmarks.database import settle
from benchmarks.dataset import Collection, Dataset, Question
from benchmarks.report import Figure, Report
from pgmodern.engine import create_engine
from pgmodern.indexes import FullTextIndex, HnswIndex, TrigramIndex
from pgmodern.indexes.search_vector import document
from pgmodern.queries import Leg, batch, bm25, full_text, fuzzy, hybrid, nearest
from pgmodern.queries.statement import Statement, rows
from pgmodern.types import Vector
from tests.wire import wired

K, DEEP, DIMENSIONS = 10, 50, 384
CONFIGURATION = "public.english_unaccent"
# nDCG@10 of public baselines on these files, as the data's own description has them.
PUBLIC_BM25 = {"cranfield": 0.385, "cisi": 0.381}
PART_OF_PUBLIC = 0.9
BATCH, DELAY_SECONDS, TIMES_FASTER = 100, 0.01, 5
TITLES = 0.2  # of a whole sentence the titles that look alike say little


@dataclass(frozen=True, slots=True)
class Shelf:
    """A collection in a table of its own, as the statistics of words are a table's."""

    collection: Collection
    table: Table
    words: FullTextIndex
    titles: TrigramIndex
    vectors: HnswIndex

    def full_text(self, text: Any, _: Any, limit: int = DEEP) -> Statement:
        """Every word, as a search box means it."""
        return full_text(self.words, text, limit)

    def ts_rank(self, text: Any, _: Any, limit: int = DEEP, *, cover: bool = False) -> Statement:
        """Any word, ranked by PostgreSQL's own functions, by the logarithm of the length."""
        lexemes = func.plainto_tsquery("english", text)
        query = cast(func.replace(cast(lexemes, Text), "&", "|"), TSQUERY)
        rank = func.ts_rank_cd if cover else func.ts_rank
        score = rank(self.words.vector, query, 1).label("score")
        found = select(*self.words.key, score).where(self.words.matches(query))
        return found.order_by(score.desc(), *self.words.key).limit(rows(limit))

    def bm25(self, text: Any, _: Any, limit: int = DEEP) -> Statement:
        """Any word, the rarer the better."""
        return bm25(self.words, text, limit)

    def nearest(self, _: Any, vector: Any, limit: int = DEEP) -> Statement:
        """What a model finds alike."""
        return nearest(self.vectors, vector, limit)

    def titled(self, text: Any, _: Any, limit: int = DEEP) -> Statement:
        """Titles whose spelling is alike."""
        return fuzzy(self.titles, text, limit)

    def fused(self, text: Any, vector: Any, limit: int = K) -> Statement:
        """Words and meaning together."""
        legs = [Leg(self.bm25(text, vector)), Leg(self.nearest(text, vector))]
        return hybrid(self.words, legs, limit)

    def all_fused(self, text: Any, vector: Any, limit: int = K) -> Statement:
        """Words, meaning, and a little of what titles look like."""
        legs = [
            Leg(self.bm25(text, vector)),
            Leg(self.nearest(text, vector)),
            Leg(self.titled(text, vector), TITLES),
        ]
        return hybrid(self.words, legs, limit)


def shelf(engine: Engine, collection: Collection) -> Shelf:
    """Load a collection and index it."""
    name = f"papers_{collection.name}"
    table = Table(
        name,
        MetaData(),
        Column("id", Text, primary_key=True),
        Column("title", Text),
        Column("text", Text),
        Column("words", TSVECTOR),
        Column("embedding", Vector(DIMENSIONS)),
    )
    c = table.c
    indexes = (
        FullTextIndex(
            f"ix_{name}_words",
            [(c.title, "A"), (c.text, "B")],
            stored=c.words,
            configuration=CONFIGURATION,
        ),
        TrigramIndex(f"ix_{name}_title", c.title),
        HnswIndex(f"ix_{name}_embedding", c.embedding),
    )
    papers = [
        {"id": each.id, "title": each.title, "text": each.text, "embedding": each.embedding}
        for each in collection.papers
    ]
    with engine.begin() as connection:
        table.create(connection)
        connection.execute(insert(table), papers)
        said = document([(c.title, "A"), (c.text, "B")], CONFIGURATION)
        connection.execute(table.update().values(words=said))
    settle(engine, name)
    return Shelf(collection, table, *indexes)


def ndcg(found: Sequence[str], relevance: dict[str, int]) -> float:
    """Return the normalised discounted cumulative gain of the first ten (Jarvelin, Kekalainen)."""

    def gain(grades: Sequence[int]) -> float:
        parts = (
            math.expm1(grade * math.log(2)) / math.log2(p) for p, grade in enumerate(grades, 2)
        )
        return sum(parts)

    ideal = gain(sorted(relevance.values(), reverse=True)[:K])
    return gain([relevance.get(each, 0) for each in found[:K]]) / ideal if ideal else 0.0


def judged(session: Session, search: Any, questions: Sequence[Question]) -> float:
    """Return the mean nDCG@10 of a way to search."""
    found = [
        [row.id for row in session.execute(search(_text(each), each.embedding))]
        for each in questions
    ]
    pairs = zip(found, questions, strict=True)
    return sum(ndcg(ids, each.relevance) for ids, each in pairs) / len(questions)


def _text(question: Question) -> str:
    return " ".join(question.text.split())


def measure(engine: Engine, of: Shelf) -> list[Figure]:
    """Judge every leg, and the fusion beside the best of them."""
    name, questions = of.collection.name, of.collection.questions

    def covered(text: Any, vector: Any) -> Statement:
        return of.ts_rank(text, vector, cover=True)

    with Session(engine) as session:
        legs = {
            "every word, ts_rank": judged(session, of.full_text, questions),
            "any word, ts_rank_cd": judged(session, covered, questions),
            "any word, ts_rank": judged(session, of.ts_rank, questions),
            "titles by trigrams": judged(session, of.titled, questions),
            "nearest vectors": judged(session, of.nearest, questions),
        }
        ways = of.bm25, of.fused, of.all_fused
        words, fused, all_fused = (judged(session, way, questions) for way in ways)
    public = PUBLIC_BM25[name]
    best = max(words, *legs.values())
    return [
        *(Figure(f"{name}: {what}", value, "") for what, value in legs.items()),
        Figure(f"{name}: bm25 [*]", words, "", public, at_least=PART_OF_PUBLIC * public),
        Figure(
            f"{name}: bm25 and vectors fused, beside the best leg", fused, "", best, at_least=best
        ),
        Figure(f"{name}: and titles, beside it", all_fused, "", best, at_least=best),
    ]


def together(engine: Engine, of: Shelf) -> list[Figure]:
    """Ask many questions in one statement and one by one, on a slow wire."""
    asked = [(_text(each), each.embedding) for each in of.collection.questions[:BATCH]]
    figures = []
    with wired(engine.url) as wire:
        through = create_engine(wire.url).execution_options(isolation_level="AUTOCOMMIT")
        for what, way in (("nearest", of.nearest), ("bm25", of.bm25), ("fused", of.fused)):
            with Session(through) as session:
                all_at_once = batch(
                    lambda text, vector, way=way: way(text, vector, K),
                    asked,
                    Text(),
                    of.vectors.operand,
                )
                wire.delay_seconds = DELAY_SECONDS
                started = time.perf_counter()
                session.execute(all_at_once).all()
                batched = time.perf_counter() - started
                started = time.perf_counter()
                for question, embedding in asked:
                    session.execute(way(question, embedding, K)).all()
                alone = time.perf_counter() - started
            figures.append(
                Figure(
                    f"{len(asked)} questions, {what}",
                    batched * 1000,
                    "ms",
                    alone * 1000,
                    ratio_at_least=TIMES_FASTER,
                )
            )
        through.dispose()
    return figures


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Judge both collections, and time the batch form."""
    shelves = [shelf(engine, dataset.collection(name)) for name in ("cranfield", "cisi")]
    figures = [figure for each in shelves for figure in measure(engine, each)]
    return Report(
        "relevance: nDCG@10 of what is found, and many questions at once",
        "as said",
        [*figures, *together(engine, shelves[0])],
        [
            "; ".join(
                f"{each.collection.name}: {len(each.collection.papers):,} documents, "
                f"{len(each.collection.questions)} judged questions"
                for each in shelves
            ),
            f"Each leg gives {DEEP}. [*] beside it the public figure of BM25 on the same files.",
            f"{BATCH} questions: beside them one by one, every round trip "
            f"{DELAY_SECONDS * 1000:.0f} ms longer than it would be.",
        ],
    )
