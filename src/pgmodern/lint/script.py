"""The SQL of a revision, and which of its lines wrote which statement; no database is needed."""

import inspect
import io
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import FrameType

from alembic.runtime.migration import MigrationStep
from alembic.script import Script

from pgmodern.errors import MigrationError, PgmodernError
from pgmodern.lint.history import History
from pgmodern.lint.revision import Revision, Statement


class _Written(io.StringIO):
    """What Alembic writes a script to, a statement at a time; it remembers who wrote each."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.statements: list[Statement] = []

    def write(self, text: str) -> int:
        line, modules = _origin(traceback.walk_stack(inspect.currentframe()), self.path)
        proved = any(module.startswith("pgmodern.operations.") for module in modules)
        self.statements.append(Statement(text.strip(), line, proved))
        return len(text)


def with_script(revision: Revision, history: History, script: Script) -> Revision:
    """Return a revision with the SQL that its upgrade writes, or with why it writes none.

    Raises MigrationError when env.py, and not the revision, cannot do without a database.
    """
    written = _Written(script.path)
    history.config.output_buffer = written

    def step(*_: object) -> list[MigrationStep]:
        return [MigrationStep.upgrade_from_script(history.directory.revision_map, script)]

    start = script.down_revision
    try:
        history.run_env(
            step,
            as_sql=True,
            starting_rev=[start] if isinstance(start, str) else start,
            destination_rev=script.revision,
        )
    except Exception as error:
        reason = error.cause if isinstance(error, PgmodernError) else str(error)
        if _origin(traceback.walk_tb(error.__traceback__), script.path)[0] is None:
            raise MigrationError(
                f"env.py wrote no SQL for {script.revision}: {type(error).__name__}: {reason}",
                "It has to run offline, as for: alembic upgrade --sql",
            ) from error
        return replace(revision, unwritten=f"{type(error).__name__}: {reason}")
    return replace(revision, script=tuple(written.statements))


def _origin(frames: Iterable[tuple[FrameType, int]], path: str) -> tuple[int | None, Sequence[str]]:
    """Return the line of the file that is being executed, and the modules before it in the frames.

    Without such a line they are all the modules.
    """
    modules: list[str] = []
    for frame, line in frames:
        if frame.f_code.co_filename == path:
            return line, modules
        modules.append(frame.f_globals.get("__name__", ""))
    return None, modules
