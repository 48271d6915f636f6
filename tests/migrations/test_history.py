"""pytest-alembic's default tests of the revisions as a whole."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_alembic import create_alembic_fixture
from pytest_alembic.tests import (
    test_model_definitions_match_ddl,
    test_single_head_revision,
    test_up_down_consistency,
    test_upgrade,
)
from sqlalchemy import URL, Engine, create_engine
from sqlalchemy.pool import NullPool

__all__ = [
    "test_model_definitions_match_ddl",
    "test_single_head_revision",
    "test_up_down_consistency",
    "test_upgrade",
]

alembic_runner = create_alembic_fixture({"file": str(Path(__file__).parents[2] / "alembic.ini")})


@pytest.fixture
def alembic_engine(empty_database_url: URL) -> Iterator[Engine]:
    """An engine on a database with nothing in it."""
    engine = create_engine(empty_database_url, poolclass=NullPool)
    yield engine
    engine.dispose()
