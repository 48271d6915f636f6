"""Versions of the embeddings: filled side by side, switched at once, removed in batches."""

import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from numpy.typing import ArrayLike
from sqlalchemy import Engine, insert
from sqlalchemy.orm import Session

from pgmodern.errors import MigrationError
from pgmodern.queries.staging import count_of
from pgmodern.reference.fragrance import statements
from pgmodern.reference.fragrance.models import (
    Base,
    FragranceEmbedding,
    FragranceEmbeddingVersion,
)
from pgmodern.reference.fragrance.vectors import unit
from pgmodern.repositories import AsyncBulkRepository, BulkRepository

Embedded = tuple[uuid.UUID, ArrayLike]


def _of_version(version: int, embeddings: Iterable[Embedded]) -> Iterator[tuple[Any, ...]]:
    return ((fragrance_id, version, unit(vector)) for fragrance_id, vector in embeddings)


class FragranceEmbeddingRepository(BulkRepository):
    """Versions of the embeddings: filled side by side, switched at once, removed in batches."""

    table = Base.metadata.tables[FragranceEmbedding.__tablename__]
    stored, unique = ("fragrance_id", "version", "embedding"), ("fragrance_id", "version")

    def add_version(self, version: int, model_name: str) -> None:
        """Make a version that can be filled; it is not read before `switch`."""
        values = {"version": version, "model_name": model_name}
        self.session.execute(insert(FragranceEmbeddingVersion), [values])

    def save(self, version: int, embeddings: Iterable[Embedded]) -> int:
        """Store a version's embeddings of fragrances in bulk, as `store` does; return how many."""
        return self.store(_of_version(version, embeddings))

    def pending(
        self, version: int, after: uuid.UUID | None = None, limit: int = 256
    ) -> list[uuid.UUID]:
        """Return the next fragrances by id that a version has not embedded."""
        given = {"of_version": version, "after": after}
        return list(self.session.scalars(statements.without_embedding(limit), given))

    def switch(self, version: int) -> bool:
        """Have every search read this version from the commit on; whether it can be read."""
        given = {"of_version": version}
        return count_of(self.session.execute(statements.switch(), given)) > 0

    def retire(self, version: int) -> bool:
        """Have nothing written to a version any more; False for the current, and for none."""
        given = {"of_version": version}
        return count_of(self.session.execute(statements.retire(), given)) > 0

    def remove(
        self, version: int, after: uuid.UUID | None = None, batch: int = 1_000
    ) -> uuid.UUID | None:
        """Delete the next embeddings of a version; return the last one's, None at the end."""
        given = {"of_version": version, "after": after}
        return self.session.scalar(statements.remove(batch), given)

    def forget(self, version: int) -> bool:
        """Delete a retired version that has no embeddings left; whether there was one."""
        given = {"of_version": version}
        return count_of(self.session.execute(statements.forget(), given)) > 0


class AsyncFragranceEmbeddingRepository(AsyncBulkRepository):
    """The asynchronous twin of FragranceEmbeddingRepository."""

    table = Base.metadata.tables[FragranceEmbedding.__tablename__]
    stored, unique = ("fragrance_id", "version", "embedding"), ("fragrance_id", "version")

    async def add_version(self, version: int, model_name: str) -> None:
        """Make a version that can be filled; it is not read before `switch`."""
        values = {"version": version, "model_name": model_name}
        await self.session.execute(insert(FragranceEmbeddingVersion), [values])

    async def save(self, version: int, embeddings: Iterable[Embedded]) -> int:
        """Store a version's embeddings of fragrances in bulk, as `store` does; return how many."""
        return await self.store(_of_version(version, embeddings))

    async def pending(
        self, version: int, after: uuid.UUID | None = None, limit: int = 256
    ) -> list[uuid.UUID]:
        """Return the next fragrances by id that a version has not embedded."""
        given = {"of_version": version, "after": after}
        return list(await self.session.scalars(statements.without_embedding(limit), given))

    async def switch(self, version: int) -> bool:
        """Have every search read this version from the commit on; whether it can be read."""
        given = {"of_version": version}
        return count_of(await self.session.execute(statements.switch(), given)) > 0

    async def retire(self, version: int) -> bool:
        """Have nothing written to a version any more; False for the current, and for none."""
        given = {"of_version": version}
        return count_of(await self.session.execute(statements.retire(), given)) > 0

    async def remove(
        self, version: int, after: uuid.UUID | None = None, batch: int = 1_000
    ) -> uuid.UUID | None:
        """Delete the next embeddings of a version; return the last one's, None at the end."""
        given = {"of_version": version, "after": after}
        return await self.session.scalar(statements.remove(batch), given)

    async def forget(self, version: int) -> bool:
        """Delete a retired version that has no embeddings left; whether there was one."""
        given = {"of_version": version}
        return count_of(await self.session.execute(statements.forget(), given)) > 0


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
