"""The applications' databases as they are today, with rows in every table and of every shape."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

FOLDER = Path(__file__).parents[3] / "shared" / "legacy"
Rows = dict[str, list[Any]]


@dataclass(frozen=True, slots=True)
class Legacy:
    """One application's database.

    `rows` holds for each table an expression of its row `t`, as JSON, without what the migrations
    add; `modern` returns these rows as they are to be afterwards, and `wrong` is a query that
    counts those for which the migrations have not added what they should. `many` are statements
    that make the filled database larger.
    """

    name: str
    fill: Callable[[psycopg.Connection], None]
    rows: Mapping[str, str]
    wrong: str
    many: str
    modern: Callable[[Rows], Rows] = dict

    @property
    def schema(self) -> str:
        """The SQL of the database; skips the test where it is not there."""
        path = FOLDER / f"{self.name}.sql"
        if not path.is_file():
            pytest.skip(f"{path} is not there")
        return path.read_text()

    def create(self, database: psycopg.Connection) -> None:
        """Make the application's tables and rows in a database that has none of them."""
        with database.transaction():
            database.execute(self.schema.encode())
            self.fill(database)

    def read(self, database: psycopg.Connection) -> Rows:
        """Return every row of the application's tables, by id, numbers with all digits."""
        return {table: self._read(database, table) for table in self.rows}

    def _read(self, database: psycopg.Connection, table: str) -> list[Any]:
        query = f"SELECT ({self.rows[table]})::text FROM {table} AS t ORDER BY id"
        found = database.execute(query.encode())
        return [json.loads(str(row), parse_float=Decimal) for (row,) in found]
