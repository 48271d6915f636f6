"""Extensions whose objects are older than the package that the server has of them."""

from collections.abc import Iterator

from sqlalchemy import Connection

from pgmodern.doctor.cure import execute
from pgmodern.doctor.diagnosis import Diagnosis, Kind
from pgmodern.extensions import available, installed, version_key
from pgmodern.quoting import quoted

KINDS = (Kind.OUTDATED_EXTENSION,)


def check(connection: Connection) -> Iterator[Diagnosis]:
    """Find extensions that ALTER EXTENSION would update; an upgrade of the package does not."""
    offered = available(connection)
    for name, version in sorted(installed(connection).items()):
        newest = offered.get(name, "0")
        if version_key(version) < version_key(newest):
            yield Diagnosis(
                Kind.OUTDATED_EXTENSION,
                "warning",
                None,
                None,
                name,
                f"{version}, and the server has {newest}",
                execute(f"ALTER EXTENSION {quoted(name)} UPDATE"),
            )
