"""Fixtures of the suite's own, beside those of pgmodern.pytest_plugin."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def alembic_ini() -> Path:
    """The Alembic configuration of the reference schemas."""
    return ROOT / "alembic.ini"
