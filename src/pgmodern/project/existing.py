"""An Alembic project that is there: what would change for pgmodern. Nothing does, unless asked."""

import difflib
import io
import re
import shlex
import shutil
from collections.abc import Iterator
from configparser import Error as IniError
from dataclasses import dataclass
from os.path import lexists, relpath
from pathlib import Path
from tomllib import TOMLDecodeError

from alembic.config import Config
from alembic.util import CommandError

from pgmodern.errors import ProjectError
from pgmodern.project.new import REVISION
from pgmodern.project.rewriting import is_of_several_databases, rewritten, runs

_DATABASE = (
    "The database is then what DATABASE_URL names, or POSTGRES_*, in the environment or in .env; "
    "the embedded server where nothing does. Set it before you run alembic."
)
_LOGGER = """\
[loggers]
keys = {keys}, pgmodern

[logger_pgmodern]
level = INFO
handlers =
qualname = pgmodern"""


@dataclass(frozen=True, slots=True)
class Advice:
    """What to change by hand, and why; `lines` are to be copied."""

    detail: str
    lines: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """What would change in a project: env.py into `source`, as the diff says; the rest by hand.

    The diff is empty where env.py calls `run()` already. An obstacle is what the new env.py would
    not do, and the old one does.
    """

    env: Path
    source: str
    diff: str
    obstacles: tuple[str, ...]
    advice: tuple[Advice, ...]


def changes(directory: Path) -> Changes | None:
    """Return what would change in the Alembic project of a folder; None when there is none.

    Raises ProjectError when its configuration or its env.py cannot be read, and when it is of
    several databases.
    """
    try:
        config = _config(directory)
        return _changes(directory, config) if config else None
    except (
        CommandError,
        IniError,
        OSError,
        SyntaxError,
        TOMLDecodeError,
        UnicodeDecodeError,
    ) as error:
        cause = f"The Alembic project in {directory} cannot be read: {error}"
        raise ProjectError(cause, "Mend it first, until alembic history works there.") from error


def apply(found: Changes) -> Path:
    """Write the new env.py, keep the old one beside it, and return where.

    Raises ProjectError, before anything is written, when there is an obstacle, or when an old one
    is kept there already.
    """
    kept = found.env.with_name("env.py.orig")
    if found.obstacles:
        raise ProjectError(f"{found.env} was not changed.", "\n".join(found.obstacles))
    if lexists(kept):
        raise ProjectError(f"{found.env} was not changed: {kept} is there.", "Move it away.")
    shutil.copy2(found.env, kept)
    found.env.write_bytes(found.source.encode())
    return kept


def _config(directory: Path) -> Config | None:
    """Return the configuration that Alembic would read in a folder."""
    ini, toml = directory / "alembic.ini", directory / "pyproject.toml"
    config = Config(ini if ini.is_file() else None, toml if toml.is_file() else None)
    return config if ini.is_file() or config.toml_alembic_config else None


def _changes(directory: Path, config: Config) -> Changes:
    env = _scripts(directory, config) / "env.py"
    if not env.is_file():
        raise ProjectError(
            f"By Alembic's configuration {env} is there, and it is not.",
            "Mend script_location; to begin anew, name another folder.",
        )
    source = env.read_bytes().decode()
    if is_of_several_databases(source) or config.get_alembic_option("databases"):
        raise ProjectError(
            f"{env} migrates several databases, and pgmodern's run() one.",
            "Make it a project for each: pgmodern init DIRECTORY, and move the revisions there.",
        )
    advice = tuple(_advice(directory, config, env.parent))
    if runs(source):
        return Changes(env, source, "", (), advice)
    new, advice = rewritten(source), (Advice(_DATABASE), *advice)
    diff = unified_diff(source, new.source, relpath(env, directory))
    return Changes(env, new.source, diff, new.obstacles, advice)


def _scripts(directory: Path, config: Config) -> Path:
    """Return the folder of the scripts, also where it is named as package:folder."""
    named = config.get_alembic_option("script_location")
    if not named:
        raise ProjectError(
            f"Alembic's configuration in {directory} names no script_location.",
            "Add it: script_location = %(here)s/migrations",
        )
    if not Path(named).is_absolute() and ":" in named:
        package, _, folder = named.partition(":")
        named = f"{package.replace('.', '/')}/{folder}"
    return directory / relpath(directory / named, directory)


def unified_diff(before: str, after: str, name: str) -> str:
    """Return a diff that `patch -p0` and `git apply -p0` take, whatever ends the lines."""
    label = f"{name}\t"  # by which both know where a name with spaces ends
    lines = difflib.unified_diff(_lines(before), _lines(after), label, label)
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )


def _lines(text: str) -> list[str]:
    return io.StringIO(text).readlines()  # str.splitlines() also takes a form feed for an end


def _advice(directory: Path, config: Config, scripts: Path) -> Iterator[Advice]:
    ini = directory / "alembic.ini"
    for number in _lines_of_url(ini):
        yield Advice(f"{ini}, line {number}: remove sqlalchemy.url, which run() does not read.")
    if keys := _keys_without_ours(config):
        yield Advice(
            f"{ini}: have pgmodern's log lines shown, of waits for locks and of how long all took.",
            _LOGGER.format(keys=keys),
        )
    theirs = scripts / REVISION.name
    if not theirs.is_file() or theirs.read_bytes() != REVISION.read_bytes():
        yield Advice(
            f"{theirs}: take pgmodern's, with which ruff has nothing to say of new revisions.",
            shlex.join(["cp", str(REVISION), str(theirs)]),
        )


def _lines_of_url(ini: Path) -> list[int]:
    lines = ini.read_text().splitlines() if ini.is_file() else []
    return [n for n, line in enumerate(lines, 1) if re.match(r"sqlalchemy\.url\s*[=:]", line)]


def _keys_without_ours(config: Config) -> str | None:
    """Return the names of the configured loggers, unless pgmodern's is among them."""
    found = config.file_config
    names = (found.get(section, "qualname", fallback=None) for section in found.sections())
    keys = found.get("loggers", "keys", fallback=None)
    return None if "pgmodern" in names or keys is None else ", ".join(re.split(r"\s*,\s*", keys))
