"""Changes of a table: each as pgmodern does it online, and as plain Alembic does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, Column, Computed, text
from sqlalchemy.dialects.postgresql import TSVECTOR

Step = Callable[[Any, str], object]  # of `op` and the name of the table
WORDS = "to_tsvector('simple', title)"


def nothing(op: Any, table: str) -> None:
    """The step that does nothing."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a table, done online and by plain Alembic; `given` is what each begins with."""

    what: str
    online: Step
    plain: Step
    given: tuple[Step, Step] = (nothing, nothing)


def create_index(op: Any, table: str) -> None:
    """Index the titles, before there is anybody to be disturbed."""
    op.create_index(f"ix_{table}", table, ["title"])


def add_search_vector_online(op: Any, table: str) -> None:
    """Add the search vector of the titles, kept by a trigger."""
    op.add_search_vector_online(table, "words", {"title": "A"}, configuration="pg_catalog.simple")


def add_search_vector(op: Any, table: str) -> None:
    """Add the search vector of the titles as Alembic can."""
    op.add_column(table, Column("words", TSVECTOR, Computed(WORDS, persisted=True)))


def replace_index(op: Any, table: str) -> None:
    """Give the index of the titles another column."""
    op.drop_index(f"ix_{table}", table)
    op.create_index(f"ix_{table}", table, ["title", "id"])


def _referred(table: str) -> tuple[str, list[str], list[str]]:
    return f"{table}_labels", ["plays"], ["id"]


def create_referent(op: Any, table: str) -> None:
    """Make what a foreign key can point at."""
    op.execute(f"CREATE TABLE {table}_labels (id int PRIMARY KEY)")
    op.execute(f"INSERT INTO {table}_labels VALUES (0)")


def add_album(op: Any, table: str) -> None:
    """Add a column that may hold NULL, and holds none."""
    op.execute(f"ALTER TABLE {table} ADD album text DEFAULT ''")


def copy_into_partitions(op: Any, table: str) -> None:
    """Make a partitioned table of the rows as it is done by hand: by copying them."""
    op.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    op.execute(
        f"CREATE TABLE {table}_new (LIKE {table} INCLUDING DEFAULTS INCLUDING IDENTITY, "
        "PRIMARY KEY (id)) PARTITION BY RANGE (id)"
    )
    op.execute(f"CREATE TABLE {table}_1 PARTITION OF {table}_new DEFAULT")
    op.execute(f"INSERT INTO {table}_new OVERRIDING SYSTEM VALUE SELECT * FROM {table}")
    op.execute(
        f"SELECT setval(pg_get_serial_sequence('{table}_new', 'id'), max(id)) FROM {table}_new"
    )
    op.execute(f"ALTER TABLE {table} RENAME TO {table}_old")
    op.execute(f"ALTER TABLE {table}_new RENAME TO {table}")


def notify_of_each_row(op: Any, table: str) -> None:
    """Make the trigger that one writes by hand."""
    op.execute(
        f"CREATE FUNCTION {table}_notify() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN PERFORM pg_notify('{table}', NEW.id::text); RETURN NULL; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_notify AFTER INSERT OR UPDATE ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION {table}_notify()"
    )


CHANGES = [
    Change(
        "create_index_online, btree",
        lambda op, table: op.create_index_online(f"ix_{table}", table, ["title"]),
        create_index,
    ),
    Change(
        "create_index_online, GIN",
        lambda op, table: op.create_index_online(
            f"ix_{table}", table, [text(WORDS)], postgresql_using="gin"
        ),
        lambda op, table: op.create_index(
            f"ix_{table}", table, [text(WORDS)], postgresql_using="gin"
        ),
    ),
    Change(
        "drop_index_online",
        lambda op, table: op.drop_index_online(f"ix_{table}"),
        lambda op, table: op.drop_index(f"ix_{table}", table),
        given=(create_index, create_index),
    ),
    Change(
        "add_search_vector_online",
        add_search_vector_online,
        add_search_vector,
    ),
    Change(
        "drop_search_vector_online",
        lambda op, table: op.drop_search_vector_online(table, "words"),
        lambda op, table: op.drop_column(table, "words"),
        given=(add_search_vector_online, add_search_vector),
    ),
    Change(
        "backfill_online",
        lambda op, table: op.backfill_online(
            table, table=table, statement=f"UPDATE {table} SET plays = plays + 1 WHERE {{range}}"
        ),
        lambda op, table: op.execute(f"UPDATE {table} SET plays = plays + 1"),
    ),
    Change(
        "replace_index_online",
        lambda op, table: op.replace_index_online(f"ix_{table}", table, ["title", "id"]),
        replace_index,
        given=(create_index, create_index),
    ),
    Change(
        "add_check_constraint_online",
        lambda op, table: op.add_check_constraint_online(f"ck_{table}", table, "plays >= 0"),
        lambda op, table: op.create_check_constraint(f"ck_{table}", table, text("plays >= 0")),
    ),
    Change(
        "add_foreign_key_online",
        lambda op, table: op.add_foreign_key_online(f"fk_{table}", table, *_referred(table)),
        lambda op, table: op.create_foreign_key(f"fk_{table}", table, *_referred(table)),
        given=(create_referent, create_referent),
    ),
    Change(
        "set_not_null_online",
        lambda op, table: op.set_not_null_online(table, "album"),
        lambda op, table: op.alter_column(table, "album", nullable=False),
        given=(add_album, add_album),
    ),
    Change(
        "change_column_type_online",
        lambda op, table: op.change_column_type_online(table, "plays", "bigint"),
        lambda op, table: op.alter_column(table, "plays", type_=BigInteger()),
    ),
    Change(
        "partition_table_online",
        lambda op, table: op.partition_table_online(table, "id", interval=1_000_000),
        copy_into_partitions,
    ),
    Change(
        "create_change_notification",
        lambda op, table: op.create_change_notification(table, ["id"]),
        notify_of_each_row,
    ),
]
