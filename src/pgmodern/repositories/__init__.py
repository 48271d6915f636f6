"""Repositories over a session: every read is one statement, nothing is ever committed.

A repository of your own names its row, the columns to show and the declared indexes:

    class ProductRepository(SearchRepository[ProductHit]):
        row, payload = ProductHit, select(Product.id, Product.name)
        trigram, words = Product.name_trgm, Product.search
"""

from pgmodern.repositories.asynchronous.bulk import AsyncBulkRepository
from pgmodern.repositories.asynchronous.counts import AsyncCountRepository
from pgmodern.repositories.asynchronous.documents import AsyncDocumentRepository
from pgmodern.repositories.asynchronous.queue import AsyncQueueRepository
from pgmodern.repositories.asynchronous.search import AsyncSearchRepository
from pgmodern.repositories.asynchronous.vectors import AsyncVectorRepository
from pgmodern.repositories.load import load
from pgmodern.repositories.synchronous.bulk import BulkRepository
from pgmodern.repositories.synchronous.counts import CountRepository
from pgmodern.repositories.synchronous.documents import DocumentRepository
from pgmodern.repositories.synchronous.queue import QueueRepository
from pgmodern.repositories.synchronous.search import SearchRepository
from pgmodern.repositories.synchronous.vectors import VectorRepository

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
