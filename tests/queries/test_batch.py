"""Many searches in one statement: what each of them finds by itself, in its order."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from sqlalchemy import URL, ColumnElement, Text, create_engine, insert, select, text
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool
from sqlalchemy.types import TypeEngine

from pgmodern.queries import (
    Leg,
    Stage,
    batch,
    bm25,
    full_text,
    fuzzy,
    hybrid,
    nearest,
    staged,
    suggest,
    with_payload,
)
from pgmodern.queries.statement import Statement
from pgmodern.reference.music import AIInteractionEmbedding, AILog, Artist, Track
from pgmodern.testing.databases import database

WORDS = ["red", "blue", "green", "moon", "river", "love", "night", "dance"]
CHANCE = np.random.default_rng(3)
TITLES = [" ".join(CHANCE.choice(WORDS, 3)) for _ in range(600)]
VECTORS = CHANCE.normal(size=(200, 1536)).astype(np.float32)
NEAR = AIInteractionEmbedding.embedding_hnsw


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database with some tracks and some embeddings."""
    with database(postgres_url, template_database) as url:
        engine = create_engine(url, poolclass=NullPool)
        with engine.begin() as connection:
            connection.execute(insert(Artist).values(id=1, name="Nena"))
            tracks = [{"id": n, "artist_id": 1, "title": title} for n, title in enumerate(TITLES)]
            connection.execute(insert(Track), tracks)
            logs = [{"id": n, "prompt": "p", "response": "r"} for n in range(len(VECTORS))]
            connection.execute(insert(AILog), logs)
            found = [
                {"ai_log_id": n, "model_name": "m", "content_hash": "h", "embedding": vector}
                for n, vector in enumerate(VECTORS)
            ]
            connection.execute(insert(AIInteractionEmbedding), found)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        yield url


def _vector(given: Any) -> ColumnElement[Any]:
    return given if isinstance(given, ColumnElement) else NEAR.literal(given)


Case = tuple[Callable[..., Statement], Sequence[Sequence[Any]], tuple[TypeEngine[Any], ...]]
ASKED = [["red moon"], ["blu rivr"], ["nothing like this"], ["love"], ["red moon"], [""]]
SOUGHT = [[vector] for vector in VECTORS[:5] + 0.1]
SEARCHES: dict[str, Case] = {
    "fuzzy": (lambda t: fuzzy(Track.title_trgm, t, 5), ASKED, (Text(),)),
    "full_text": (lambda t: full_text(Track.search, t, 5), ASKED, (Text(),)),
    "bm25": (lambda t: bm25(Track.search, t, 5), ASKED, (Text(),)),
    "suggest": (lambda t: suggest(Track.title_trgm, t, 5), ASKED, (Text(),)),
    "nearest": (lambda v: nearest(NEAR, v, 7), SOUGHT, (NEAR.operand,)),
    "nearest, filtered": (
        lambda v: nearest(NEAR, v, 7, where=[AIInteractionEmbedding.ai_log_id < 50]),
        SOUGHT,
        (NEAR.operand,),
    ),
    "staged": (
        lambda v: staged([Stage(NEAR, _vector(v), 20), Stage(NEAR, _vector(v), 7)]),
        SOUGHT,
        (NEAR.operand,),
    ),
    "fused": (
        lambda a, b: hybrid(
            Track.search, [Leg(bm25(Track.search, a)), Leg(fuzzy(Track.title_trgm, b), 0.5)], 5
        ),
        [["red moon", "blue river"], ["love", "nihgt"]],
        (Text(), Text()),
    ),
    "with its payload": (
        lambda t: with_payload(
            select(Track.id, Track.title), bm25(Track.search, t, 5), Track.search
        ),
        ASKED,
        (Text(),),
    ),
}


def _alone(session: Session, search: Callable[..., Statement], given: Sequence[Any]) -> list[Any]:
    found = session.execute(search(*given)).all()
    session.rollback()  # the settings of one search are not the next one's
    return [tuple(row) for row in found]


@pytest.mark.parametrize(("search", "sought", "kinds"), SEARCHES.values(), ids=SEARCHES)
def test_a_batch_finds_what_each_finds_alone(
    search: Callable[..., Statement],
    sought: Sequence[Sequence[Any]],
    kinds: tuple[TypeEngine[Any], ...],
    session: Session,
) -> None:
    alone = [
        (place, *row)
        for place, given in enumerate(sought)
        for row in _alone(session, search, given)
    ]
    assert alone
    assert [tuple(row) for row in session.execute(batch(search, sought, *kinds))] == alone


@pytest.mark.quick
def test_of_nothing_nothing_is_found(session: Session) -> None:
    search = SEARCHES["fuzzy"][0]
    assert session.execute(batch(search, [], Text())).all() == []


def test_a_batch_is_served_by_the_index_of_its_search(
    session: Session, assert_uses_index: Callable[..., None]
) -> None:
    for name, indexes in (
        ("fuzzy", [Track.title_trgm]),
        ("bm25", [Track.search]),
        ("nearest", [NEAR]),
    ):
        search, sought, kinds = SEARCHES[name]
        statement = batch(search, sought, *kinds)
        assert_uses_index(
            session, lambda s=statement: session.execute(s), *indexes, enable_seqscan=False
        )
