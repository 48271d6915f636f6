"""The job behind `pgmodern embed samples`: embeds what has no embedding, batch by batch."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from pgmodern.embedders import Embedder
from pgmodern.progress import progress
from pgmodern.reference.audio import statements
from pgmodern.reference.audio.models import EMBEDDING_DIMENSIONS
from pgmodern.reference.audio.rows import NewSampleEmbedding
from pgmodern.reference.audio.synchronous.repository import SampleRepository
from pgmodern.repositories.embedding import embed_pending

_BEFORE_ANY = -(2**31)


def embed_samples(engine: Engine, embedder: Embedder, *, everything: bool = False) -> int:
    """Embed the samples that have no embedding; return how many.

    `everything` looks at the others too and replaces the embeddings of those whose text has
    changed since, or that are of another model: their vectors cannot be compared with this one's.
    Each batch is committed, so a killed run goes on where it stopped; no transaction is open while
    the model works. Raises EmbedderError.
    """
    with progress("embedding samples", _expected(engine, everything)) as advance:
        return embed_pending(
            engine,
            embedder,
            SampleRepository,
            lambda sample, vector: NewSampleEmbedding(
                sample.id, vector, embedder.model_name, sample.content_hash
            ),
            EMBEDDING_DIMENSIONS,
            after=_BEFORE_ANY,
            changed=everything,
            advance=advance,
        )


def _expected(engine: Engine, everything: bool) -> int | None:
    with Session(engine) as session:
        return None if everything else session.scalar(statements.missing())
