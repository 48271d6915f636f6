"""The revision that follows an advice, written where Alembic keeps the others."""

from argparse import Namespace
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError, rev_id

from pgmodern.doctor.partitioning.advice import Advice
from pgmodern.errors import MigrationError, SettingsError


def write(advice: Advice, ini: Path, revision: str | None = None) -> Path:
    """Write the advised revision after the head, by the project's own template; return its path.

    Raises SettingsError without an Alembic configuration, MigrationError when the advice is not
    yes, and when Alembic refuses, as with several heads.
    """
    if advice.upgrade is None:
        raise MigrationError(
            f"No revision was written, as the advice for {advice.table} is: {advice.verdict}.",
            f"{advice.reason}. Without --write it says what stands in the way.",
        )
    if not ini.is_file():
        raise SettingsError(f"There is no Alembic configuration {ini}.", "Name it: --config.")
    quiet = Namespace(quiet=True)  # it would say on standard output what it does
    try:
        script = ScriptDirectory.from_config(Config(ini, cmd_opts=quiet)).generate_revision(
            revision or rev_id(),
            f"Partition {advice.table} by {advice.column}",
            imports="",
            upgrades=advice.upgrade,
            downgrades=advice.downgrade,
        )
    except CommandError as error:
        raise MigrationError(
            f"Alembic wrote no revision: {error}", "Correct that first."
        ) from error
    assert script is not None
    return Path(script.path)
