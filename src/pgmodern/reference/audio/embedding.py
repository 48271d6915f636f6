"""The job behind `pgmodern embed samples`: embeds what has no embedding, batch by batch."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from pgmodern.embedders import Embedder, padded
from pgmodern.progress import Advance, progress
from pgmodern.reference.audio import statements
from pgmodern.reference.audio.models import EMBEDDING_DIMENSIONS
from pgmodern.reference.audio.repository import (
    NewSampleEmbedding,
    PendingSample,
    SampleRepository,
)

_BATCH = 256
_BEFORE_ANY = -(2**31)


def embed_samples(engine: Engine, embedder: Embedder, *, everything: bool = False) -> int:
    """Embed the samples that have no embedding; return how many.

    `everything` looks at the others too and replaces the embeddings of those whose text has
    changed since, or that are of another model: their vectors cannot be compared with this one's.
    Each batch is committed, so a killed run goes on where it stopped; no transaction is open while
    the model works. Raises EmbedderError.
    """
    with progress("embedding samples", _expected(engine, everything)) as advance:
        return _embed(engine, embedder, everything, advance)


def _embed(engine: Engine, embedder: Embedder, everything: bool, advance: Advance) -> int:
    last, total = _BEFORE_ANY, 0
    while True:
        with Session(engine) as session:
            repository = SampleRepository(session)
            samples = repository.pending(embedder.model_name, last, _BATCH, changed=everything)
        if not samples:
            return total
        total += _store(engine, embedder, samples)
        advance(len(samples))
        last = samples[-1].id


def _store(engine: Engine, embedder: Embedder, samples: list[PendingSample]) -> int:
    texts = [sample.content for sample in samples]
    vectors = padded(embedder.embed(texts), EMBEDDING_DIMENSIONS)
    with Session(engine) as session, session.begin():
        repository = SampleRepository(session)
        there = repository.hold([sample.id for sample in samples])
        return repository.save(
            NewSampleEmbedding(sample.id, vector, embedder.model_name, sample.content_hash)
            for sample, vector in zip(samples, vectors, strict=True)
            if sample.id in there
        )


def _expected(engine: Engine, everything: bool) -> int | None:
    with Session(engine) as session:
        return None if everything else session.scalar(statements.missing())
