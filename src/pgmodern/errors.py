"""One tree of errors; each carries its cause and its cure.

    PgmodernError
    ├── SettingsError         the environment names no usable database or embedder
    ├── DatabaseUnavailable   the server cannot be reached, or turned us away
    ├── PackageUnavailable    a package that pgmodern needs is not installed, or does not load
    ├── ServerTooOld          the server's major version is not supported
    ├── ExtensionError        an extension is absent, too old or may not be created
    ├── DeclarationError      an index that no column of the model can have
    ├── MigrationError        a revision cannot run, or would destroy data
    ├── ProjectError          a project cannot be laid down, or its env.py not changed
    ├── EmbedderError         a model could not be loaded or did not answer
    ├── LoadError             a row of a load cannot be stored
    ├── VectorError           a vector has the wrong dimension or a number that is not finite
    └── DocumentError         a document or path that JSONB cannot hold or read

`VectorError` and `DocumentError` are also `ValueError`: they speak of an argument, and they are
raised before it reaches the server. `PackageUnavailable` is also `ImportError`, for whoever can do
without pgmodern.
"""

from sqlalchemy.exc import DontWrapMixin


class PgmodernError(Exception):
    """What went wrong and what to do about it, as one message without secrets."""

    def __init__(self, cause: str, cure: str) -> None:
        super().__init__(cause, cure)
        self.cause = cause
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.cause}\n{self.cure}"


class SettingsError(PgmodernError):
    """The environment names no usable database or embedder."""


class DatabaseUnavailable(PgmodernError):
    """The server cannot be reached, or turned us away."""


class PackageUnavailable(PgmodernError, ImportError):
    """A package that pgmodern needs is not installed, or does not load."""


class ServerTooOld(PgmodernError):
    """The server is too old: for all of pgmodern, or for what was asked."""


class ExtensionError(PgmodernError):
    """An extension is absent, too old, or may not be created by this role."""


class DeclarationError(PgmodernError):
    """An index, or the metadata it is of, is declared as nothing that PostgreSQL can have."""


class MigrationError(PgmodernError):
    """A revision cannot run, or would destroy data."""


class ProjectError(PgmodernError):
    """A project cannot be laid down, or its env.py not changed."""


class EmbedderError(PgmodernError):
    """A model could not be loaded, or its endpoint did not answer."""


class VectorError(PgmodernError, ValueError, DontWrapMixin):
    """A vector has the wrong dimension, or holds a number that is not finite."""


class LoadError(PgmodernError):
    """A row of a load cannot be stored: the one at `position`, from 0; so many are `stored`."""

    def __init__(self, cause: str, cure: str, position: int = 0, stored: int = 0) -> None:
        super().__init__(cause, cure)
        self.position = position
        self.stored = stored


class DocumentError(PgmodernError, ValueError, DontWrapMixin):
    """A JSON document or path that JSONB cannot hold or read."""
