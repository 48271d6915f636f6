"""The job behind `pgmodern embed ai-logs`: embeds what has no embedding, batch by batch."""

from sqlalchemy import Engine, exists, func, select
from sqlalchemy.orm import Session

from pgmodern.embedders import Embedder
from pgmodern.progress import progress
from pgmodern.reference.music.models import EMBEDDING_DIMENSIONS, AIInteractionEmbedding, AILog
from pgmodern.reference.music.rows import NewEmbedding
from pgmodern.reference.music.synchronous.repository import AIInteractionEmbeddingRepository
from pgmodern.repositories.embedding import embed_pending


def embed_ai_logs(engine: Engine, embedder: Embedder, *, everything: bool = False) -> int:
    """Embed the AI logs that have no embedding of the embedder's model; return how many.

    `everything` looks at the others too and embeds those whose content has changed since. Each
    batch is committed, so a killed run goes on where it stopped; no transaction is open while the
    model works. Raises EmbedderError.
    """
    with progress("embedding AI logs", _expected(engine, embedder, everything)) as advance:
        return embed_pending(
            engine,
            embedder,
            AIInteractionEmbeddingRepository,
            lambda log, vector: NewEmbedding(
                log.id, log.user_id, embedder.model_name, log.content_hash, vector
            ),
            EMBEDDING_DIMENSIONS,
            after=0,
            changed=everything,
            advance=advance,
        )


def _expected(engine: Engine, embedder: Embedder, everything: bool) -> int | None:
    embedded = exists().where(
        AIInteractionEmbedding.ai_log_id == AILog.id,
        AIInteractionEmbedding.model_name == embedder.model_name,
    )
    count = select(func.count()).select_from(AILog).where(~embedded)
    with Session(engine) as session:
        return None if everything else session.scalar(count)
