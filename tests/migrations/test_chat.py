"""What the migrations do to a live chat database."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import URL

from tests.legacy.chat import CHAT

Connect = Callable[[URL], psycopg.Connection]
Dump = Callable[..., str]
Migrate = Callable[..., None]

TABLES = tuple(f"--table={table}" for table in CHAT.rows)
KEPT, DUPLICATE = "idx_messages_conversation_created", "idx_messages_conv_created"


@pytest.fixture
def chat_url(empty_database_url: URL, connect: Connect) -> URL:
    """A database with the tables and rows of the chat application alone."""
    with connect(empty_database_url) as database:
        CHAT.create(database)
    return empty_database_url


def _indexes(database: psycopg.Connection) -> set[str]:
    found = database.execute(
        "SELECT indexrelid::regclass::text FROM pg_index "
        "WHERE indrelid = 'messages'::regclass AND indisvalid AND indkey[0] = 2"
    )
    return {str(name) for (name,) in found}


@pytest.mark.reference
def test_adopting_the_tables_changes_nothing_in_them(
    chat_url: URL, connect: Connect, migrate: Migrate, dump: Dump
) -> None:
    before, rows = dump(chat_url, *TABLES), CHAT.read(connect(chat_url))
    migrate(chat_url, "0010")
    assert dump(chat_url, *TABLES) == before
    assert CHAT.read(connect(chat_url)) == rows


@pytest.mark.reference
def test_of_the_two_indexes_of_one_definition_one_stays_and_both_come_back(
    chat_url: URL, connect: Connect, migrate: Migrate
) -> None:
    database = connect(chat_url)
    oid = database.execute(f"SELECT '{KEPT}'::regclass::oid".encode()).fetchone()
    assert _indexes(database) == {KEPT, DUPLICATE}
    migrate(chat_url, "0011")
    assert _indexes(database) == {KEPT}
    assert database.execute(f"SELECT '{KEPT}'::regclass::oid".encode()).fetchone() == oid
    migrate(chat_url, "base")
    assert _indexes(database) == {KEPT, DUPLICATE}


@pytest.mark.parametrize(
    "state",
    [
        f"DROP INDEX {DUPLICATE}",
        f"DROP INDEX {KEPT}",
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{KEPT}'::regclass",
        f"UPDATE pg_index SET indisvalid = false WHERE indexrelid = '{DUPLICATE}'::regclass",
        f"DROP INDEX {KEPT}, {DUPLICATE}",
    ],
    ids=["one dropped", "other dropped", "other invalid", "one invalid", "both dropped"],
)
def test_a_valid_index_is_left_whatever_there_was(
    chat_url: URL, state: str, head: str, connect: Connect, migrate: Migrate, dump: Dump
) -> None:
    database = connect(chat_url)
    database.execute(state.encode())
    migrate(chat_url)
    assert _indexes(database) == {KEPT}
    assert dump(chat_url) == head


@pytest.mark.reference
def test_every_legacy_message_gets_its_search_vector(
    chat_url: URL, connect: Connect, migrate: Migrate
) -> None:
    migrate(chat_url)
    database = connect(chat_url)
    found = database.execute(
        "SELECT count(*) FROM messages WHERE search_vector @@ "
        "websearch_to_tsquery('public.english_unaccent', 'naive run')"
    ).fetchone()
    assert found == (1_200,)
    assert database.execute(CHAT.wrong.encode()).fetchone() == (0,)


def test_an_application_goes_on_writing_during_the_upgrade(
    chat_url: URL, head: str, connect: Connect, migrate: Migrate, dump: Dump
) -> None:
    writer, stop = connect(chat_url), threading.Event()
    writer.execute(CHAT.many.encode())
    (conversation,) = writer.execute("SELECT id FROM conversations LIMIT 1").fetchone() or (None,)

    def write() -> int:
        count = 0
        while not stop.is_set():
            count += 1
            writer.execute(
                "INSERT INTO messages (conversation_id, role, content) VALUES (%s, 'new', %s)",
                [conversation, f"Écrit {count}"],
            )
            writer.execute(
                "UPDATE messages SET content = %s WHERE id = (SELECT id FROM messages "
                "WHERE role = 'user' LIMIT 1 OFFSET %s)",
                [f"Changed {count}", count],
            )
            writer.execute(
                "UPDATE conversations SET updated_at = now() WHERE id = %s", [conversation]
            )
        return count

    with ThreadPoolExecutor() as pool:
        writing = pool.submit(write)
        try:
            migrate(chat_url)
        finally:
            stop.set()
        written = writing.result()
    assert dump(chat_url) == head
    assert writer.execute(CHAT.wrong.encode()).fetchone() == (0,)
    kept = writer.execute("SELECT count(*) FROM messages WHERE role = 'new'").fetchone()
    assert kept == (written,)
