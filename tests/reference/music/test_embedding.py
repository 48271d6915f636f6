"""The job that embeds AI logs: complete, resumable, and never holding a transaction open."""

import uuid
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, delete, select, update
from sqlalchemy.orm import Session

from pgmodern.errors import EmbedderError
from pgmodern.reference.music import AIInteractionEmbedding, AILog
from pgmodern.reference.music.embedding import embed_ai_logs

USER = uuid.UUID(int=7)


class Lengths:
    """A model of two dimensions: a text's length, and one."""

    model_name = "lengths"

    def __init__(self, fail_after: int | None = None) -> None:
        self.texts: list[str] = []
        self.fail_after = fail_after

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.fail_after is not None and len(self.texts) + len(texts) > self.fail_after:
            raise EmbedderError("The model is away.", "Run again.")
        self.texts += texts
        return np.array([[len(text), 1] for text in texts], dtype=np.float32)


def add_logs(engine: Engine, count: int) -> None:
    with Session(engine) as session, session.begin():
        session.add_all(
            AILog(user_id=USER, prompt=f"prompt {n}", response=None if n % 2 else f"answer {n}")
            for n in range(count)
        )


def stored(engine: Engine) -> list[Any]:
    with Session(engine) as session:
        return list(session.scalars(select(AIInteractionEmbedding.ai_log_id)))


@pytest.mark.quick
def test_every_log_gets_one_embedding_of_its_prompt_and_answer(engine: Engine) -> None:
    add_logs(engine, 3)
    model = Lengths()
    assert embed_ai_logs(engine, model) == 3
    assert model.texts == ["prompt 0\nanswer 0", "prompt 1", "prompt 2\nanswer 2"]
    with Session(engine) as session:
        (first, *_) = session.scalars(
            select(AIInteractionEmbedding).order_by(AIInteractionEmbedding.ai_log_id)
        )
        assert first.embedding[:3].tolist() == [17, 1, 0]
        assert first.embedding.shape == (1536,)
        assert (first.user_id, first.model_name) == (USER, "lengths")


def test_a_second_run_finds_nothing_to_do(engine: Engine) -> None:
    add_logs(engine, 3)
    embed_ai_logs(engine, Lengths())
    model = Lengths()
    assert embed_ai_logs(engine, model) == 0
    assert embed_ai_logs(engine, model, everything=True) == 0
    assert model.texts == []


def test_a_run_that_failed_goes_on_where_it_stopped(engine: Engine) -> None:
    add_logs(engine, 600)
    with pytest.raises(EmbedderError):
        embed_ai_logs(engine, Lengths(fail_after=300))
    assert len(stored(engine)) == 256
    model = Lengths()
    assert embed_ai_logs(engine, model) == 344
    assert len(set(stored(engine))) == len(stored(engine)) == 600


def test_a_changed_log_is_embedded_again_only_when_all_are_looked_at(engine: Engine) -> None:
    add_logs(engine, 3)
    embed_ai_logs(engine, Lengths())
    with Session(engine) as session, session.begin():
        session.execute(update(AILog).where(AILog.prompt == "prompt 1").values(prompt="other"))
    assert embed_ai_logs(engine, Lengths()) == 0
    model = Lengths()
    assert embed_ai_logs(engine, model, everything=True) == 1
    assert model.texts == ["other"]
    assert len(stored(engine)) == 3


def test_each_model_has_embeddings_of_its_own(engine: Engine) -> None:
    add_logs(engine, 2)
    other = Lengths()
    other.model_name = "other"
    embed_ai_logs(engine, Lengths())
    embed_ai_logs(engine, other)
    assert len(stored(engine)) == 4


def test_a_log_deleted_while_the_model_works_is_left_out(engine: Engine) -> None:
    add_logs(engine, 3)

    class Deleting(Lengths):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            with Session(engine) as session, session.begin():
                session.execute(delete(AILog).where(AILog.prompt == "prompt 1"))
            return super().embed(texts)

    assert embed_ai_logs(engine, Deleting()) == 2
    assert len(stored(engine)) == 2


def test_a_model_that_is_too_large_stores_nothing(engine: Engine) -> None:
    add_logs(engine, 1)

    class Large(Lengths):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.ones((len(texts), 1537), dtype=np.float32)

    with pytest.raises(EmbedderError, match="1,537 dimensions"):
        embed_ai_logs(engine, Large())
    assert stored(engine) == []
