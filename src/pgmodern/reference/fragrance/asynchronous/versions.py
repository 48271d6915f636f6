"""Versions of the embeddings: filled side by side, switched at once, removed in batches."""

import uuid
from collections.abc import Iterable

from sqlalchemy import insert

from pgmodern.queries.staging import count_of
from pgmodern.reference.fragrance import statements
from pgmodern.reference.fragrance.models import (
    Base,
    FragranceEmbedding,
    FragranceEmbeddingVersion,
)
from pgmodern.reference.fragrance.vectors import Embedded, of_version
from pgmodern.repositories import AsyncBulkRepository


class AsyncFragranceEmbeddingRepository(AsyncBulkRepository):
    """Versions of the embeddings: filled side by side, switched at once, removed in batches."""

    table = Base.metadata.tables[FragranceEmbedding.__tablename__]
    stored, unique = ("fragrance_id", "version", "embedding"), ("fragrance_id", "version")

    async def add_version(self, version: int, model_name: str) -> None:
        """Make a version that can be filled; it is not read before `switch`."""
        values = {"version": version, "model_name": model_name}
        await self.session.execute(insert(FragranceEmbeddingVersion), [values])

    async def save(self, version: int, embeddings: Iterable[Embedded]) -> int:
        """Store a version's embeddings of fragrances in bulk, as `store` does; return how many."""
        return await self.store(of_version(version, embeddings))

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
