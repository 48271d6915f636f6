"""What the tests share. It lies beside models.py, so that they can import that."""

import pytest
from pgmodern import create_engine
from sqlalchemy import URL

from models import Base


@pytest.fixture(scope="session")
def template_database(template_database: str, postgres_url: URL) -> str:
    """The database of which each test gets a copy, with tables that no revision has yet."""
    engine = create_engine(postgres_url.set(database=template_database))
    Base.metadata.create_all(engine)
    engine.dispose()
    return template_database
