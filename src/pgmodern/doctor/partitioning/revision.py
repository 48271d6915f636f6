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
        cause = f"No revision was written: for {advice.table} the advice is {advice.verdict}"
        raise MigrationError(f"{cause}, as {advice.reason}.", "See it without --write.")
    if not ini.is_file():
        raise SettingsError(f"There is no Alembic configuration {ini}.", "Name it: --config.")
    try:
        script = _directory(ini).generate_revision(
            revision or rev_id(),
            f"Partition {advice.table} by {advice.column}",
            imports="",
            upgrades=advice.upgrade,
            downgrades=advice.downgrade,
        )
    except CommandError as error:
        cause = f"Alembic wrote no revision: {error}"
        raise MigrationError(cause, "Mend the script directory, or merge its heads.") from error
    assert script is not None
    return Path(script.path)


def _directory(ini: Path) -> ScriptDirectory:
    quiet = Namespace(quiet=True)  # it would say on standard output what it does
    return ScriptDirectory.from_config(Config(ini, cmd_opts=quiet))
