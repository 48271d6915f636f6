"""The script of `--sql` waits by the policy that an upgrade would."""

import io
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config

from pgmodern.locks import LockPolicy

Alembic = Callable[..., subprocess.CompletedProcess[str]]
Revise = Callable[..., Path]

BODIES = (
    'op.execute("CREATE TABLE songs (id bigint PRIMARY KEY, at date NOT NULL, plays int)")',
    'op.create_index_online("ix", "songs", ["plays"])',
    'op.change_column_type_online("songs", "plays", "bigint")',
    'op.partition_table_online("songs", "at", interval="1 month")',
    'op.add_partitions("songs")',
)
TIMEOUT = re.compile(r"lock_timeout(?: = |', )'(\w+)'")
BUILD, SWAP = "7200000ms", "100ms"  # a swap waits for a second table no longer than that
POLICY = LockPolicy(timeout=0.25, build=7200)


def timeouts(script: str) -> set[str]:
    """Return what a script sets `lock_timeout` to."""
    return set(TIMEOUT.findall(script)) - {SWAP}


@pytest.fixture
def written(revise: Revise) -> Callable[..., str]:
    """Return the script that a program has written."""

    def write(ini: Path, **attributes: object) -> str:
        buffer = io.StringIO()
        config = Config(ini, output_buffer=buffer, attributes=attributes)
        command.upgrade(config, "head", sql=True)
        return buffer.getvalue()

    return write


def test_a_script_waits_by_a_program_s_policy(written: Callable[..., str], revise: Revise) -> None:
    script = written(revise(*BODIES), lock_policy=POLICY)
    assert timeouts(script) == {"250ms", BUILD}
    assert "RESET lock_timeout" not in script


@pytest.mark.quick
def test_a_script_waits_by_the_policy_of_env_py(
    written: Callable[..., str], revise: Revise
) -> None:
    ini = revise(*BODIES)
    env = ini.parent / "migrations" / "env.py"
    given = "MetaData(), policy=LockPolicy(timeout=0.25, build=7200)"
    text = env.read_text().replace("MetaData()", given)
    env.write_text(f"from pgmodern import LockPolicy\n{text}")
    assert timeouts(written(ini)) == {"250ms", BUILD}


def test_a_script_waits_by_the_arguments(alembic: Alembic, revise: Revise) -> None:
    ran = alembic("-x", "lock-timeout=0.25", "upgrade", "head", "--sql", ini=revise(*BODIES))
    assert ran.returncode == 0, ran.stderr
    assert timeouts(ran.stdout) == {"250ms", "3600000ms"}
