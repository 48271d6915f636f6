"""The job behind `pgmodern embed ai-logs`: embeds what has no embedding, batch by batch."""

from sqlalchemy import Engine, exists, func, select
from sqlalchemy.orm import Session

from pgmodern.embedders import Embedder, padded
from pgmodern.progress import Advance, progress
from pgmodern.reference.music.models import EMBEDDING_DIMENSIONS, AIInteractionEmbedding, AILog
from pgmodern.reference.music.repository import (
    AIInteractionEmbeddingRepository,
    NewEmbedding,
    PendingLog,
)

_BATCH = 256


def embed_ai_logs(engine: Engine, embedder: Embedder, *, everything: bool = False) -> int:
    """Embed the AI logs that have no embedding of the embedder's model; return how many.

    `everything` looks at the others too and embeds those whose content has changed since. Each
    batch is committed, so a killed run goes on where it stopped; no transaction is open while the
    model works. Raises EmbedderError.
    """
    with progress("embedding AI logs", _expected(engine, embedder, everything)) as advance:
        return _embed(engine, embedder, everything, advance)


def _embed(engine: Engine, embedder: Embedder, everything: bool, advance: Advance) -> int:
    last, total = 0, 0
    while True:
        with Session(engine) as session:
            repository = AIInteractionEmbeddingRepository(session)
            logs = repository.pending(embedder.model_name, last, _BATCH, changed=everything)
        if not logs:
            return total
        total += _store(engine, embedder, logs)
        advance(len(logs))
        last = logs[-1].id


def _store(engine: Engine, embedder: Embedder, logs: list[PendingLog]) -> int:
    vectors = padded(embedder.embed([log.content for log in logs]), EMBEDDING_DIMENSIONS)
    with Session(engine) as session, session.begin():
        repository = AIInteractionEmbeddingRepository(session)
        there = repository.hold([log.id for log in logs])
        return repository.save(
            NewEmbedding(log.id, log.user_id, embedder.model_name, log.content_hash, vector)
            for log, vector in zip(logs, vectors, strict=True)
            if log.id in there
        )


def _expected(engine: Engine, embedder: Embedder, everything: bool) -> int | None:
    embedded = exists().where(
        AIInteractionEmbedding.ai_log_id == AILog.id,
        AIInteractionEmbedding.model_name == embedder.model_name,
    )
    count = select(func.count()).select_from(AILog).where(~embedded)
    with Session(engine) as session:
        return None if everything else session.scalar(count)
