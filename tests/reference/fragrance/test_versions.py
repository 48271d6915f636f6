"""Versions of the embeddings: side by side, switched at once, removed in batches."""

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sqlalchemy import Engine, delete, func, insert, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from pgmodern.errors import MigrationError, VectorError
from pgmodern.reference.fragrance import (
    AsyncFragranceEmbeddingRepository,
    Fragrance,
    FragranceEmbedding,
    FragranceEmbeddingRepository,
    FragranceEmbeddingVersion,
)
from pgmodern.reference.fragrance.versions import retire

IDS = [uuid.UUID(int=number) for number in range(50)]
VECTORS = np.random.default_rng(1).normal(size=(50, 2048)).astype(np.float32)


@pytest.fixture
def filled(session: Session) -> FragranceEmbeddingRepository:
    """A repository of version 1 of all fragrances and of version 2 of forty."""
    embeddings = FragranceEmbeddingRepository(session)
    for number, vector in zip(IDS, VECTORS, strict=True):
        changed = update(Fragrance).where(Fragrance.id == number)
        session.execute(changed.values(embedding=vector))
    embeddings.add_version(2, "another model")
    assert embeddings.save(2, zip(IDS[:40], -VECTORS[:40], strict=True)) == 40
    return embeddings


def _count(session: Session, version: int) -> int:
    rows = select(func.count()).where(FragranceEmbedding.version == version)
    return session.scalar(rows) or 0


def _current(session: Session) -> list[int]:
    current = FragranceEmbeddingVersion.is_current
    return list(session.scalars(select(FragranceEmbeddingVersion.version).where(current)))


def test_what_is_saved_is_of_length_1_at_each_resolution(
    filled: FragranceEmbeddingRepository, session: Session
) -> None:
    huge = VECTORS[7] * 1e30
    assert filled.save(2, [(IDS[7], huge)]) == 1
    embedding = FragranceEmbedding
    columns = (embedding.embedding, embedding.embedding_512, embedding.embedding_128)
    saved = session.execute(
        select(*columns).where(embedding.fragrance_id == IDS[7], embedding.version == 2)
    ).one()
    for vector, dimensions in zip(saved, (2048, 512, 128), strict=True):
        expected = VECTORS[7][:dimensions] / np.linalg.norm(VECTORS[7][:dimensions])
        assert np.allclose(vector, expected, atol=2e-3)


def test_a_vector_without_direction_is_refused(filled: FragranceEmbeddingRepository) -> None:
    with pytest.raises(VectorError):
        filled.save(2, [(IDS[0], np.zeros(2048))])


def test_two_versions_live_side_by_side_and_one_is_current(
    filled: FragranceEmbeddingRepository, session: Session
) -> None:
    assert (_count(session, 1), _count(session, 2), _current(session)) == (50, 40, [1])
    assert filled.switch(2)
    assert _current(session) == [2]
    assert filled.switch(2)  # again
    assert filled.switch(1)  # and back
    assert _current(session) == [1]
    assert not filled.switch(3)
    assert _current(session) == [1]


def test_what_a_version_lacks_is_pending(filled: FragranceEmbeddingRepository) -> None:
    assert filled.pending(1) == []
    assert filled.pending(2) == IDS[40:]
    assert filled.pending(2, limit=3) == IDS[40:43]
    assert filled.pending(2, IDS[44]) == IDS[45:]
    assert filled.pending(9, limit=60) == IDS


def test_the_current_version_cannot_be_retired_and_a_retired_one_not_be_current(
    filled: FragranceEmbeddingRepository, session: Session
) -> None:
    assert not filled.retire(1)
    assert not filled.retire(3)
    assert filled.retire(2)
    assert filled.retire(2)
    assert not filled.switch(2)
    assert _current(session) == [1]


def test_a_version_is_removed_batch_by_batch(
    filled: FragranceEmbeddingRepository, session: Session
) -> None:
    filled.retire(2)
    assert filled.remove(2, batch=15) == IDS[14]
    assert _count(session, 2) == 25
    with pytest.raises(IntegrityError), session.begin_nested():
        filled.forget(2)
    assert filled.remove(2, IDS[14], batch=100) == IDS[39]
    assert filled.remove(2, IDS[39]) is None
    assert filled.forget(2)
    assert not filled.forget(2)
    assert not filled.forget(1)  # it is not retired
    assert _count(session, 1) == 50


def test_a_retired_version_1_follows_the_column_no_more(
    filled: FragranceEmbeddingRepository, session: Session
) -> None:
    filled.switch(2)
    assert filled.retire(1)
    filled.remove(1)
    session.execute(update(Fragrance).values(embedding=VECTORS[0]))
    assert _count(session, 1) == 0
    assert filled.forget(1)
    session.execute(update(Fragrance).values(embedding=VECTORS[1]))
    assert (_count(session, 1), _count(session, 2)) == (0, 40)


def test_a_fragrance_takes_its_embeddings_along(
    filled: FragranceEmbeddingRepository, session: Session
) -> None:
    session.execute(delete(Fragrance).where(Fragrance.id == IDS[3]))
    assert (_count(session, 1), _count(session, 2)) == (49, 39)


@pytest.mark.quick
async def test_both_twins_do_the_same(session: Session, async_session: AsyncSession) -> None:
    one, other = (
        FragranceEmbeddingRepository(session),
        AsyncFragranceEmbeddingRepository(async_session),
    )
    one.add_version(2, "m")
    saved = [(number, vector) for number, vector in zip(IDS[:5], VECTORS, strict=False)]
    answers = [
        one.save(2, saved),
        one.pending(2, limit=3),
        one.switch(2),
        one.retire(1),
        one.remove(2, batch=3),
        one.forget(1),
    ]
    session.rollback()
    await other.add_version(2, "m")
    assert [
        await other.save(2, saved),
        await other.pending(2, limit=3),
        await other.switch(2),
        await other.retire(1),
        await other.remove(2, batch=3),
        await other.forget(1),
    ] == answers
    await async_session.rollback()


@pytest.fixture
def committed(engine: Engine) -> Iterator[Engine]:
    """An engine on a database whose version 2 has an embedding of each fragrance."""
    with Session(engine) as session, session.begin():
        embeddings = FragranceEmbeddingRepository(session)
        embeddings.add_version(2, "m")
        embeddings.save(2, zip(IDS, VECTORS, strict=True))
    yield engine
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM fragrance_embeddings_multi"))
        connection.execute(text("DELETE FROM fragrance_embedding_versions"))
        first = insert(FragranceEmbeddingVersion)
        connection.execute(first, {"version": 1, "model_name": "", "is_current": True})


def test_a_version_is_removed_as_a_whole_and_the_current_one_is_not(committed: Engine) -> None:
    with pytest.raises(MigrationError, match="current"):
        retire(committed, 1)
    with pytest.raises(MigrationError, match="not there"):
        retire(committed, 3)
    retire(committed, 2, batch=7)
    with Session(committed) as session:
        assert _count(session, 2) == 0
        assert session.get(FragranceEmbeddingVersion, 2) is None


@pytest.mark.quick
def test_a_removal_that_was_killed_goes_on(
    committed: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, calls = FragranceEmbeddingRepository.remove, iter(range(3))

    def dying(*given: object) -> uuid.UUID | None:
        next(calls)  # StopIteration at the fourth
        return remove(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(FragranceEmbeddingRepository, "remove", dying)
        with pytest.raises(StopIteration):
            retire(committed, 2, batch=5)
    with Session(committed) as session:
        assert _count(session, 2) == 35
        assert not FragranceEmbeddingRepository(session).switch(2)
    retire(committed, 2, batch=5)
    with Session(committed) as session:
        assert session.get(FragranceEmbeddingVersion, 2) is None


def test_of_those_who_switch_at_once_one_version_is_left_current(
    committed: Engine,
) -> None:
    def switch(version: int) -> None:
        with Session(committed) as session, session.begin():
            FragranceEmbeddingRepository(session).switch(version)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(switch, [1, 2] * 60))
    with Session(committed) as session:
        assert len(_current(session)) == 1
    switch(1)
