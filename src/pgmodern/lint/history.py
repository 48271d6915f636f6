"""The revisions of a project, in their order: those of a range, and those that a database lacks."""

import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlalchemy import Connection, text

from pgmodern.errors import MigrationError, PgmodernError, SettingsError

_RANGE = "Write it as Alembic does: START:END, base:head, or one revision."

# A partitioned table has the rows of its partitions, an index those of its table. Where one of
# them was never vacuumed or analyzed, its count is -1.
_ROWS = text("""
    SELECT schema.nspname, relation.relname, pg_table_is_visible(relation.oid),
           CASE WHEN target.relkind = 'p' THEN (
                    SELECT CASE WHEN min(leaf.reltuples) < 0 THEN NULL
                                ELSE coalesce(sum(leaf.reltuples), 0) END
                    FROM pg_catalog.pg_partition_tree(target.oid) AS part
                    JOIN pg_catalog.pg_class AS leaf ON leaf.oid = part.relid
                    WHERE part.isleaf)
                WHEN target.reltuples >= 0 THEN target.reltuples END AS rows
    FROM pg_catalog.pg_class AS relation
    JOIN pg_catalog.pg_namespace AS schema ON schema.oid = relation.relnamespace
    LEFT JOIN pg_catalog.pg_index AS index ON index.indexrelid = relation.oid
    JOIN pg_catalog.pg_class AS target ON target.oid = coalesce(index.indrelid, relation.oid)
    WHERE relation.relkind IN ('r', 'p', 'm', 'i', 'I')
      AND schema.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
""")

Rows = Mapping[str, float | None]


class History:
    """The script directory of an Alembic configuration.

    Raises SettingsError when there is none, MigrationError when a revision cannot be read.
    """

    def __init__(self, ini: Path) -> None:
        if not ini.is_file():
            raise SettingsError(f"There is no Alembic configuration {ini}.", "Name it: --config.")
        self.config = Config(ini)
        self.root = ini.resolve().parent
        with _understood():
            self.directory = ScriptDirectory.from_config(self.config)
            self.heads = self.directory.get_heads()
        self.folders = (self.directory.dir, *self.directory.version_locations)

    def asked(self, asked: str) -> list[Script]:
        """Return the revisions of a range, the oldest first: what a database at START lacks of END.

        END may be `head` where there are several: they are for a rule to find. Raises
        MigrationError when there is no such revision, or START is not before END.
        """
        start, colon, end = re.sub("(^|:)head$", r"\1heads", asked).partition(":")
        if not asked or any(each.startswith(("+", "-")) for each in (start, end)):
            raise MigrationError(f"{asked!r} is no range of revisions.", _RANGE)
        with _understood(_RANGE):
            if not colon:
                return [script for script in self.directory.get_revisions([start]) if script]
            before, wanted = self._up_to(start or "base"), self._up_to(end or "heads")
        if not before.keys() <= wanted.keys():
            raise MigrationError(f"{asked}: the one does not come before the other.", _RANGE)
        return _without(wanted, before)

    def pending(self) -> tuple[list[Script], Rows]:
        """Return the revisions that env.py's database lacks, and the rows of its tables."""
        heads: tuple[str, ...] = ()
        rows: Rows = {}

        def look(found: tuple[str, ...], migration: MigrationContext) -> list[Any]:
            nonlocal heads, rows
            heads = found
            if migration.connection is not None:
                rows = _rows(migration.connection)
            return []

        with _understood("Give a range, such as base:head: it needs no database."):
            self.run_env(look, dont_mutate=True)
            before = {key: each for head in heads for key, each in self._up_to(head).items()}
            return _without(self._up_to("heads"), before), rows

    def rivals(self, revision: str) -> tuple[str, ...]:
        """Return the other heads of a head's branch: those that have the same branch labels."""
        if revision not in self.heads:
            return ()
        labels = {head: self._script(head).branch_labels for head in self.heads}
        return tuple(
            head for head in self.heads if head != revision and labels[head] == labels[revision]
        )

    def run_env(self, steps: Callable[..., list[Any]], **options: Any) -> None:
        """Run env.py with these steps; what it prints does not go into the output of ours."""
        with (
            redirect_stdout(sys.stderr),
            EnvironmentContext(self.config, self.directory, fn=steps, **options),
        ):
            self.directory.run_env()

    def _up_to(self, revision: str) -> dict[str, Script]:
        """Return the revisions that a database has which was upgraded to this one."""
        if revision == "base":
            return {}
        return {each.revision: each for each in self.directory.iterate_revisions(revision, "base")}

    def _script(self, revision: str) -> Script:
        script = self.directory.get_revision(revision)
        assert script is not None  # heads are revisions
        return script


def _without(wanted: dict[str, Script], before: dict[str, Script]) -> list[Script]:
    return [wanted[key] for key in reversed(wanted) if key not in before]


def _rows(connection: Connection) -> Rows:
    rows: dict[str, float | None] = {}
    for schema, name, is_visible, count in connection.execute(_ROWS):
        rows[f"{schema}.{name}"] = count
        if is_visible:
            rows[name] = count
    return rows


@contextmanager
def _understood(cure: str = "Mend it, then run: alembic history") -> Iterator[None]:
    """Turn what Alembic, or a file that it executes, raises into an error of ours."""
    try:
        yield
    except PgmodernError:
        raise
    except (CommandError, RevisionError) as error:
        raise MigrationError(f"Alembic: {error}", cure) from error
    except Exception as error:  # a user's file may raise anything
        cause = f"Alembic could not run {_file(error)}: {type(error).__name__}: {error}"
        raise MigrationError(cause, cure) from error


def _file(error: Exception) -> str:
    """Name the file of the project that raised an error, as far as that can be told."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.name == "<module>" and Path(frame.filename).is_file():
            return f"{frame.filename}, line {frame.lineno}"
    return "the project's files"
