"""The packages without which pgmodern does not work, and the error of one that is missing."""

import sys
import traceback

from pgmodern.errors import PackageUnavailable

NAMES = frozenset(
    {"alembic", "dotenv", "numpy", "pgvector", "psycopg", "rich", "sqlalchemy", "typer"}
)
"""What pyproject.toml requires, by the names that are imported."""


def explained(error: ImportError) -> PackageUnavailable | None:
    """Return the error of ours for a package that is missing, or does not load; None for others."""
    if isinstance(error, PackageUnavailable):
        return error
    package = (error.name or _raised_in(error)).partition(".")[0]
    if package not in NAMES:
        return None
    first, *_ = str(error).splitlines() or [""]
    is_missing = isinstance(error, ModuleNotFoundError)
    why = "is not installed." if is_missing else f"does not load: {first}"
    python = ".".join(map(str, sys.version_info[:2]))
    return PackageUnavailable(
        f"pgmodern needs the package {package}, which {why}",
        "Run: pip install pgmodern, which installs all that it needs. "
        f"Where pip finds no wheel for Python {python}, use a Python that has one.",
    )


def _raised_in(error: ImportError) -> str:
    """Return the module that raised an error: psycopg's, which finds no libpq, names none."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")) if frames else ""
