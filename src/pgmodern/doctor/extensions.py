"""Extensions: installed, recent enough, and usable from this search_path."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, MetaData
from sqlalchemy.exc import DBAPIError

from pgmodern.doctor.finding import Finding
from pgmodern.extensions import Extension, available, create_sql, installed, refusal
from pgmodern.indexes import required_extensions


def check(connection: Connection, metadata: Sequence[MetaData]) -> Iterator[Finding]:
    """Check each extension that the declared indexes and types need."""
    have, offered = installed(connection), available(connection)
    for extension in sorted(required_extensions(metadata)):
        version = have.get(extension.name)
        error = refusal(extension, version, offered.get(extension.name))
        if error is not None:
            yield Finding("extension", extension.name, False, error.cause, error.cure)
        elif version is None:
            cure = f"Run: alembic upgrade head, or {create_sql(extension.name)};"
            yield Finding("extension", extension.name, False, "not installed", cure)
        else:
            yield _probe(connection, extension, version)


def _probe(connection: Connection, extension: Extension, version: str) -> Finding:
    trial = connection.begin_nested()
    try:
        connection.exec_driver_sql(f"SELECT {extension.probe}")
    except DBAPIError as error:
        cure = "Put the schema that the extension is in on the role's search_path."
        return Finding("extension", extension.name, False, f"unusable: {error.orig}", cure)
    finally:
        trial.rollback()
    return Finding("extension", extension.name, True, version)
