"""The job behind `pgmodern retire-embeddings`: removes a version of them, batch by batch."""

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from pgmodern.errors import MigrationError
from pgmodern.reference.fragrance.synchronous.versions import FragranceEmbeddingRepository


def retire(engine: Engine, version: int, batch: int = 1_000) -> None:
    """Remove a version's embeddings in batches, then the version itself.

    Each batch is committed, so a killed run goes on where it stopped. Locks the rows of one batch.
    Raises MigrationError when it is the version that is read, or is not there.
    """
    with Session(engine) as session, session.begin():
        if not FragranceEmbeddingRepository(session).retire(version):
            raise MigrationError(
                f"Version {version} of the embeddings is the current one, or is not there.",
                "Switch to another version first: FragranceEmbeddingRepository.switch",
            )
    last = None
    while True:
        with Session(engine) as session, session.begin():
            last = FragranceEmbeddingRepository(session).remove(version, last, batch)
        if last is None:
            break
    with Session(engine) as session, session.begin():
        FragranceEmbeddingRepository(session).forget(version)
