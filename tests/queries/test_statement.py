"""Settings and limits that travel inside a statement."""

import pytest
from sqlalchemy import URL, Connection, Text, create_engine, func, literal, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import QueuePool

from pgmodern.queries.statement import rows, under

SHOWN = select(func.current_setting("work_mem"))
TUNED = select(under(literal("read", Text), {"work_mem": "1234kB"}))


def _shown(connection: Connection) -> str:
    return str(connection.execute(SHOWN).scalar_one())


def test_settings_hold_until_the_transaction_ends_and_not_in_the_next_one_of_a_pool(
    postgres_url: URL,
) -> None:
    pool = create_engine(postgres_url, poolclass=QueuePool, pool_size=1, max_overflow=0)
    with pool.connect() as connection:
        process = connection.execute(select(func.pg_backend_pid())).scalar_one()
        before = _shown(connection)
        assert connection.execute(TUNED).scalar_one() == "read"
        assert _shown(connection) == "1234kB"
        connection.commit()
        assert _shown(connection) == before
        connection.execute(TUNED)
    with pool.connect() as connection:
        assert connection.execute(select(func.pg_backend_pid())).scalar_one() == process
        assert _shown(connection) == before
    pool.dispose()


def test_in_autocommit_mode_settings_hold_for_their_statement_alone(postgres_url: URL) -> None:
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        before = _shown(connection)
        both = select(TUNED.scalar_subquery(), func.current_setting("work_mem"))
        assert connection.execute(both).one() == ("read", "1234kB")
        assert _shown(connection) == before
    engine.dispose()


def test_several_settings_are_applied(postgres_url: URL) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        value = under(literal("read", Text), {"work_mem": "99kB", "application.name": "of mine"})
        connection.execute(select(value))
        assert _shown(connection) == "99kB"
        mine = connection.execute(select(func.current_setting("application.name"))).scalar_one()
        assert mine == "of mine"
    engine.dispose()


def test_a_setting_that_the_server_does_not_know_is_left_out_where_it_may_be(
    postgres_url: URL,
) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        where_known = {"work_mem": "98kB", "plpgsql.of_next_year": "on"}
        connection.execute(text("DO 'BEGIN END'"))  # from now on it knows those of plpgsql
        value = under(literal("read", Text), {"application_name": "ours"}, where_known)
        assert connection.execute(select(value)).scalar_one() == "read"
        assert _shown(connection) == "98kB"
        with pytest.raises(DBAPIError):
            connection.execute(select(under(literal("read", Text), where_known)))
    engine.dispose()


def test_a_setting_is_a_value_and_never_sql(postgres_url: URL) -> None:
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        statements = "x', false); DROP TABLE artists; --"
        value = under(literal("read", Text), {"application_name": statements})
        connection.execute(select(value))
        shown = connection.execute(select(func.current_setting("application_name"))).scalar_one()
        assert shown == statements
        with pytest.raises(DBAPIError):
            connection.execute(select(under(literal("read", Text), {"work_mem": "no size"})))
    engine.dispose()


def test_a_limit_is_written_into_the_statement(postgres_url: URL) -> None:
    numbers = select(func.generate_series(1, 5)).limit(rows(3))
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        result = connection.execute(numbers)
        assert result.context is not None
        assert "LIMIT 3" in result.context.statement
        assert len(result.all()) == 3
        assert connection.execute(numbers.limit(rows(0))).all() == []
    engine.dispose()


@pytest.mark.parametrize("count", [-1, 2**63, 10**30])
def test_a_limit_that_postgresql_does_not_take_is_refused(count: int) -> None:
    with pytest.raises(ValueError, match="limit"):
        rows(count)
