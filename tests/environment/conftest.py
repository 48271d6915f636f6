"""An Alembic project of a user's own: env.py of three lines, revisions as a test writes them."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

ENV = """
from sqlalchemy import MetaData
from pgmodern import environment

environment.run(MetaData())
"""

Revise = Callable[..., Path]


@pytest.fixture
def revise(tmp_path: Path) -> Revise:
    """Write revisions, each the body of `upgrade` (and of `downgrade`); return the alembic.ini."""

    def write(*bodies: str, downgrades: tuple[str, ...] = ()) -> Path:
        versions = tmp_path / "migrations" / "versions"
        versions.mkdir(parents=True, exist_ok=True)
        (versions.parent / "env.py").write_text(ENV)
        for number, body in enumerate(bodies, start=1):
            down = downgrades[number - 1] if downgrades else "pass"
            text = f'"""Revision {number}."""\nfrom alembic import op\n'
            text += f"revision = 'r{number}'\n"
            text += f"down_revision = {f'r{number - 1}' if number > 1 else None!r}\n"
            for name, lines in (("upgrade", body), ("downgrade", down)):
                inner = "\n".join(f"    {line}" for line in dedent(lines).strip().splitlines())
                text += f"\ndef {name}():\n{inner}\n"
            (versions / f"r{number}.py").write_text(text)
        ini = tmp_path / "project.ini"
        ini.write_text(
            f"[alembic]\nscript_location = {versions.parent}\n"
            "[loggers]\nkeys = root\n[handlers]\nkeys = console\n[formatters]\nkeys = generic\n"
            "[logger_root]\nlevel = INFO\nhandlers = console\n"
            "[handler_console]\nclass = StreamHandler\nargs = (sys.stderr,)\nformatter = generic\n"
            "[formatter_generic]\nformat = %(levelname)s [%(name)s] %(message)s\n"
        )
        return ini

    return write
