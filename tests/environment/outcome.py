"""What a deploy leaves behind when it fails: one message, and the tables that were there."""

import re
import subprocess

import psycopg

SECRET = "correct-horse-battery"
PREAMBLE = re.compile(r"(INFO|NOTICE) .*\n")


def assert_one_message(ran: subprocess.CompletedProcess[str], cause: str, cure: str) -> None:
    """Assert that alembic ended with the error's two sentences, and with nothing else."""
    assert ran.returncode == 1, ran.stderr
    assert SECRET not in ran.stdout + ran.stderr
    assert "horse" not in ran.stdout + ran.stderr
    message = PREAMBLE.sub("", ran.stderr)
    assert message.startswith("error: "), message
    assert message.count("error: ") == 1, message
    assert "Traceback" not in message
    assert re.search(cause, message), message
    assert re.search(cure, message), message
    assert ran.stdout == ""


def tables(database: psycopg.Connection) -> set[str]:
    """Return the tables that are there."""
    return {str(name) for (name,) in database.execute("SELECT relname FROM pg_stat_user_tables")}
