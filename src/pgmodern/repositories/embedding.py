"""The job that embeds what has no embedding, batch by batch."""

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from numpy.typing import NDArray
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from pgmodern.embedders import Embedder, padded
from pgmodern.progress import Advance

_BATCH = 256


class Pending(Protocol):
    """What is to be embedded, and by which key, in whose order."""

    @property
    def id(self) -> int:
        """The key."""

    @property
    def content(self) -> str:
        """The text."""


P = TypeVar("P", bound=Pending)
E_contra = TypeVar("E_contra", contravariant=True)


class Embeddable(Protocol[P, E_contra]):
    """A repository that knows what is pending, and stores embeddings."""

    def pending(self, model_name: str, after: int, limit: int, *, changed: bool) -> list[P]:
        """Return the next by key, with `changed` also those whose text is another by now."""

    def hold(self, ids: Sequence[int]) -> Collection[int]:
        """Return which still exist, and keep them from being deleted until the commit."""

    def save(self, embeddings: Iterable[E_contra]) -> int:
        """Store embeddings; return how many."""


def embed_pending(
    engine: Engine,
    embedder: Embedder,
    repository: Callable[[Session], Embeddable[P, E_contra]],
    embedded: Callable[[P, NDArray[Any]], E_contra],
    dimensions: int,
    after: int,
    *,
    changed: bool,
    advance: Advance,
) -> int:
    """Embed what is pending beyond the key `after`; return how many were stored.

    Each batch is committed, so a killed run goes on where it stopped; no transaction is open while
    the model works. Vectors are filled up to the `dimensions` of their column. Raises
    EmbedderError.
    """
    total = 0
    while True:
        with Session(engine) as session:
            batch = repository(session).pending(embedder.model_name, after, _BATCH, changed=changed)
        if not batch:
            return total
        vectors = padded(embedder.embed([each.content for each in batch]), dimensions)
        with Session(engine) as session, session.begin():
            held = repository(session)
            there = held.hold([each.id for each in batch])
            total += held.save(
                embedded(each, vector)
                for each, vector in zip(batch, vectors, strict=True)
                if each.id in there
            )
        advance(len(batch))
        after = batch[-1].id
