"""Make a live PostgreSQL modern: declared indexes, online migrations, repositories, tests."""

from typing import TYPE_CHECKING, Any

from pgmodern.lazy import attributes

if TYPE_CHECKING:
    from pgmodern.cached import AsyncCached, Cached
    from pgmodern.engine import create_async_engine, create_engine
    from pgmodern.errors import (
        DatabaseUnavailable,
        DeclarationError,
        DocumentError,
        EmbedderError,
        ExtensionError,
        LoadError,
        MigrationError,
        PackageUnavailable,
        PgmodernError,
        ProjectError,
        ServerTooOld,
        SettingsError,
        VectorError,
    )
    from pgmodern.indexes import FullTextIndex, HnswIndex, JsonbIndex, JsonbKeyIndex, TrigramIndex
    from pgmodern.locks import LockPolicy
    from pgmodern.notifications import Listener
    from pgmodern.throttle import Throttle
    from pgmodern.types import Bit, HalfVector, SparseVector, Vector

# Where each name is. It is imported when it is asked for: a command, or a test run, that needs one
# of them does not wait for numpy, Alembic and the others.
_MODULES = {
    "AsyncCached": "pgmodern.cached",
    "Cached": "pgmodern.cached",
    "create_async_engine": "pgmodern.engine",
    "create_engine": "pgmodern.engine",
    "DatabaseUnavailable": "pgmodern.errors",
    "DeclarationError": "pgmodern.errors",
    "DocumentError": "pgmodern.errors",
    "EmbedderError": "pgmodern.errors",
    "ExtensionError": "pgmodern.errors",
    "LoadError": "pgmodern.errors",
    "MigrationError": "pgmodern.errors",
    "PackageUnavailable": "pgmodern.errors",
    "PgmodernError": "pgmodern.errors",
    "ProjectError": "pgmodern.errors",
    "ServerTooOld": "pgmodern.errors",
    "SettingsError": "pgmodern.errors",
    "VectorError": "pgmodern.errors",
    "FullTextIndex": "pgmodern.indexes",
    "HnswIndex": "pgmodern.indexes",
    "JsonbIndex": "pgmodern.indexes",
    "JsonbKeyIndex": "pgmodern.indexes",
    "TrigramIndex": "pgmodern.indexes",
    "LockPolicy": "pgmodern.locks",
    "Listener": "pgmodern.notifications",
    "Throttle": "pgmodern.throttle",
    "Bit": "pgmodern.types",
    "HalfVector": "pgmodern.types",
    "SparseVector": "pgmodern.types",
    "Vector": "pgmodern.types",
}

__all__ = [
    "AsyncCached",
    "Bit",
    "Cached",
    "DatabaseUnavailable",
    "DeclarationError",
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
    "PackageUnavailable",
    "PgmodernError",
    "ProjectError",
    "ServerTooOld",
    "SettingsError",
    "SparseVector",
    "Throttle",
    "TrigramIndex",
    "Vector",
    "VectorError",
    "__version__",
    "create_async_engine",
    "create_engine",
]


_attribute = attributes(__name__, _MODULES)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415  (it takes longer than all the rest)

        return version(__name__)
    return _attribute(name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
