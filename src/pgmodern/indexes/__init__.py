"""Indexes declared once, beside the columns they serve.

Each class is a SQLAlchemy `Index`, so that `CREATE INDEX` comes from it, and each builds the
expressions that PostgreSQL answers from it, so that a query's operator, cast and predicate cannot
disagree with the index's.
"""

from pgmodern.indexes.declared import DeclaredIndex, required_extensions
from pgmodern.indexes.fulltext import FullTextIndex
from pgmodern.indexes.hnsw import HnswIndex
from pgmodern.indexes.jsonb import JsonbIndex, JsonbKeyIndex
from pgmodern.indexes.trigram import TrigramIndex

__all__ = [
    "DeclaredIndex",
    "FullTextIndex",
    "HnswIndex",
    "JsonbIndex",
    "JsonbKeyIndex",
    "TrigramIndex",
    "required_extensions",
]
