"""Repositories over a session: every read is one statement, nothing is ever committed.

A repository of your own names its row, the columns to show and the declared indexes:

    class ProductRepository(SearchRepository[ProductHit]):
        row, payload = ProductHit, select(Product.id, Product.name)
        trigram, words = Product.name_trgm, Product.search
"""

from pgmodern.repositories.bulk import AsyncBulkRepository, BulkRepository
from pgmodern.repositories.counts import AsyncCountRepository, CountRepository
from pgmodern.repositories.documents import AsyncDocumentRepository, DocumentRepository
from pgmodern.repositories.load import load
from pgmodern.repositories.queue import AsyncQueueRepository, QueueRepository
from pgmodern.repositories.search import AsyncSearchRepository, SearchRepository
from pgmodern.repositories.vectors import AsyncVectorRepository, VectorRepository

__all__ = [
    "AsyncBulkRepository",
    "AsyncCountRepository",
    "AsyncDocumentRepository",
    "AsyncQueueRepository",
    "AsyncSearchRepository",
    "AsyncVectorRepository",
    "BulkRepository",
    "CountRepository",
    "DocumentRepository",
    "QueueRepository",
    "SearchRepository",
    "VectorRepository",
    "load",
]
