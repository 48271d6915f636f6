"""One database for each file, in which every test rolls back what it did."""

from collections.abc import Iterator

import pytest
from sqlalchemy import URL

from pgmodern.testing.databases import database


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A migrated database of this file's own."""
    with database(postgres_url, template_database) as url:
        yield url
