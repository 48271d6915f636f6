"""Make a live PostgreSQL modern: declared indexes, online migrations, repositories, tests."""

from importlib.metadata import version

from pgmodern.cached import AsyncCached, Cached
from pgmodern.engine import create_async_engine, create_engine
from pgmodern.errors import (
    DatabaseUnavailable,
    DocumentError,
    EmbedderError,
    ExtensionError,
    LoadError,
    MigrationError,
    PgmodernError,
    ProjectError,
    ServerTooOld,
    SettingsError,
    VectorError,
)
from pgmodern.indexes import (
    FullTextIndex,
    HnswIndex,
    JsonbIndex,
    JsonbKeyIndex,
    TrigramIndex,
)
from pgmodern.locks import LockPolicy
from pgmodern.notifications import Listener
from pgmodern.throttle import Throttle
from pgmodern.types import Bit, HalfVector, Vector

__version__ = version("pgmodern")

__all__ = [
    "AsyncCached",
    "Bit",
    "Cached",
    "DatabaseUnavailable",
    "DocumentError",
    "EmbedderError",
    "ExtensionError",
    "FullTextIndex",
    "HalfVector",
    "HnswIndex",
    "JsonbIndex",
    "JsonbKeyIndex",
    "Listener",
    "LoadError",
    "LockPolicy",
    "MigrationError",
    "PgmodernError",
    "ProjectError",
    "ServerTooOld",
    "SettingsError",
    "Throttle",
    "TrigramIndex",
    "Vector",
    "VectorError",
    "__version__",
    "create_async_engine",
    "create_engine",
]
