"""The job that embeds samples: complete, resumable, and never holding a transaction open."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, delete, select, text, update
from sqlalchemy.orm import Session

from pgmodern.errors import EmbedderError
from pgmodern.reference.audio import Sample, SampleEmbedding, VibeAnalysis
from pgmodern.reference.audio.embedding import embed_samples


class Lengths:
    """A model of two dimensions: a text's length, and one."""

    model_name = "lengths"

    def __init__(self, name: str = "lengths", fail_after: int | None = None) -> None:
        self.model_name = name
        self.texts: list[str] = []
        self.fail_after = fail_after

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.fail_after is not None and len(self.texts) + len(texts) > self.fail_after:
            raise EmbedderError("The model is away.", "Run again.")
        self.texts += texts
        return np.array([[len(text), 1] for text in texts], dtype=np.float32)


class Meddling(Lengths):
    """A model during whose work something happens to the database."""

    def __init__(self, engine: Engine, meddle: Callable[[Session], Any]) -> None:
        super().__init__()
        self.engine, self.meddle = engine, meddle

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        with Session(self.engine) as session, session.begin():
            self.meddle(session)
        return super().embed(texts)


def add(engine: Engine, count: int) -> None:
    """Add samples that are named by their number."""
    with Session(engine) as session, session.begin():
        session.add_all(Sample(id=number, title=f"loop {number}") for number in range(count))


def change(engine: Engine, statement: Any) -> None:
    """Execute a statement in a transaction of its own."""
    with Session(engine) as session, session.begin():
        session.execute(statement)


def stored(engine: Engine) -> dict[int, str | None]:
    """Return the model of each sample that has an embedding."""
    with Session(engine) as session:
        found = session.scalars(select(SampleEmbedding)).all()
        sources = {each.sample_id: each.embedding_source for each in found}
    assert len(found) == len(sources)
    return sources


def test_the_text_is_the_title_and_what_the_analysis_says(engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.add_all(
            [
                Sample(id=1, title="Night 50%", genre="techno", musical_key="A minor", bpm=127.96),
                Sample(id=2, title="", genre="", bpm=float("nan")),
                Sample(id=3, title="Nested 雪"),
                Sample(id=4, title=""),
            ]
        )
        session.flush()
        deep = {"low": ["rumble", 7, None, {"x": "hum"}], "": ""}
        session.add_all(
            [
                VibeAnalysis(sample_id=1, mood="dark", energy=0.4, descriptors=["gritty", "slow"]),
                VibeAnalysis(sample_id=2, mood="", descriptors=[]),
                VibeAnalysis(sample_id=3, energy=float("inf"), descriptors=deep),
            ]
        )
    model = Lengths()
    assert embed_samples(engine, model) == 4
    assert model.texts == [
        "Night 50%, dark, gritty, slow, techno, A minor, 128 bpm, energy 0.40",
        "NaN bpm",
        "Nested 雪, , rumble, hum, energy Infinity",
        "",
    ]
    with Session(engine) as session:
        first = session.scalars(select(SampleEmbedding).filter_by(sample_id=1)).one()
        assert first.vibe_vector[:3].tolist() == [68, 1, 0]
        assert first.vibe_vector.shape == (1536,)
        assert first.embedding_source == "lengths"


def test_a_second_run_finds_nothing_to_do(engine: Engine) -> None:
    add(engine, 3)
    embed_samples(engine, Lengths())
    model = Lengths()
    assert embed_samples(engine, model) == 0
    assert embed_samples(engine, model, everything=True) == 0
    assert model.texts == []


def test_a_run_that_failed_goes_on_where_it_stopped(engine: Engine) -> None:
    add(engine, 600)
    with pytest.raises(EmbedderError):
        embed_samples(engine, Lengths(fail_after=300), everything=True)
    assert len(stored(engine)) == 256
    model = Lengths()
    assert embed_samples(engine, model, everything=True) == 344
    assert len(model.texts) == 344
    assert set(stored(engine)) == set(range(600))


@pytest.mark.parametrize(
    ("statement", "content"),
    [
        (update(Sample).where(Sample.id == 1).values(title="other"), "other, calm"),
        (update(Sample).where(Sample.id == 1).values(bpm=90), "loop 1, calm, 90 bpm"),
        (update(VibeAnalysis).values(mood="dark"), "loop 1, dark"),
        (update(VibeAnalysis).values(descriptors=["warm"]), "loop 1, calm, warm"),
        (delete(VibeAnalysis), "loop 1"),
    ],
    ids=["title", "bpm", "mood", "descriptors", "no analysis"],
)
def test_a_changed_sample_is_embedded_again_only_when_all_are_looked_at(
    engine: Engine, statement: Any, content: str
) -> None:
    add(engine, 3)
    with Session(engine) as session, session.begin():
        session.add(VibeAnalysis(sample_id=1, mood="calm"))
    embed_samples(engine, Lengths())
    change(engine, statement)
    assert embed_samples(engine, Lengths()) == 0
    model = Lengths()
    assert embed_samples(engine, model, everything=True) == 1
    assert model.texts == [content]
    assert len(stored(engine)) == 3


def test_embeddings_of_another_model_are_replaced_only_when_all_are_looked_at(
    engine: Engine,
) -> None:
    add(engine, 3)
    embed_samples(engine, Lengths("old"))
    change(engine, update(SampleEmbedding).filter_by(sample_id=2).values(embedding_source=None))
    assert embed_samples(engine, Lengths("new")) == 0
    assert stored(engine) == {0: "old", 1: "old", 2: None}
    assert embed_samples(engine, Lengths("new"), everything=True) == 3
    assert stored(engine) == dict.fromkeys(range(3), "new")


def test_an_embedding_of_the_application_s_own_is_left_unless_all_are_looked_at(
    engine: Engine,
) -> None:
    add(engine, 1)
    change(
        engine,
        text(
            "INSERT INTO sample_embeddings (sample_id, vibe_vector, embedding_source) "
            "VALUES (0, array_fill(1, ARRAY[1536])::vector, 'lengths')"
        ),
    )
    assert embed_samples(engine, Lengths()) == 0
    assert embed_samples(engine, Lengths(), everything=True) == 1


def test_a_sample_deleted_while_the_model_works_is_left_out(engine: Engine) -> None:
    add(engine, 3)
    model = Meddling(engine, lambda session: session.execute(delete(Sample).filter_by(id=1)))
    assert embed_samples(engine, model) == 2
    assert set(stored(engine)) == {0, 2}


def test_a_sample_changed_while_the_model_works_is_embedded_by_the_next_run(
    engine: Engine,
) -> None:
    add(engine, 3)
    rename = update(Sample).where(Sample.id == 1).values(title="other")
    embed_samples(engine, Meddling(engine, lambda session: session.execute(rename)))
    model = Lengths()
    assert embed_samples(engine, model, everything=True) == 1
    assert model.texts == ["other"]


def test_a_model_that_is_too_large_stores_nothing(engine: Engine) -> None:
    add(engine, 1)

    class Large(Lengths):
        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.ones((len(texts), 1537), dtype=np.float32)

    with pytest.raises(EmbedderError, match="1,537 dimensions"):
        embed_samples(engine, Large())
    assert stored(engine) == {}
