"""GIN indexes with a long list of entries that are not in the index proper yet."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, text

from pgmodern.doctor.catalogue import TABLES, database_name
from pgmodern.doctor.cure import execute, line
from pgmodern.doctor.diagnosis import Diagnosis, Kind, not_known
from pgmodern.operations.extension import CreateExtension
from pgmodern.quoting import quoted, string

KINDS = (Kind.PENDING_LIST,)

# Every search reads the whole list. A megabyte of the four that it may have by default.
_PAGES = 128
_FUNCTION = text("""
    SELECT quote_ident(nspname) AS schema, current_user AS role,
           has_function_privilege(pg_proc.oid, 'EXECUTE') AS allowed
    FROM pg_catalog.pg_extension AS extension
    JOIN pg_catalog.pg_depend ON refobjid = extension.oid
         AND refclassid = 'pg_catalog.pg_extension'::regclass
         AND classid = 'pg_catalog.pg_proc'::regclass
    JOIN pg_catalog.pg_proc ON pg_proc.oid = objid
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = pronamespace
    WHERE extname = 'pgstattuple' AND proname = 'pgstatginindex'
""")
# Each part of a partitioned index has a list of its own.
_LISTS = f"""
    SELECT tables.schema, tables.table_name, class.relname AS name, {{measure}} AS measure
    FROM ({TABLES}) AS tables
    JOIN pg_catalog.pg_index AS index ON indrelid = tables.oid
    JOIN pg_catalog.pg_class AS class ON class.oid = indexrelid
    JOIN pg_catalog.pg_am AS method ON method.oid = relam
    WHERE amname = 'gin' AND class.relkind = 'i' AND indisvalid
    ORDER BY tables.schema, tables.table_name, class.relname
"""
# VACUUM and autovacuum's ANALYZE empty a list; then it is empty until something is written.
_MAY_HAVE = """
    pg_stat_get_ins_since_vacuum(tables.oid) + pg_stat_get_mod_since_analyze(tables.oid) > 0
    AND NOT EXISTS (SELECT FROM pg_options_to_table(class.reloptions)
                    WHERE option_name = 'fastupdate' AND NOT option_value::boolean)"""


def check(connection: Connection) -> Iterator[Diagnosis]:
    """Find GIN indexes whose pending list slows every search; ACCESS SHARE on each of them.

    Only pgstatginindex, of the extension pgstattuple, tells the length without being superuser.
    """
    found = connection.execute(_FUNCTION).one_or_none()
    if found is not None and found.allowed:
        yield from _long(connection, found.schema)
    elif count := sum(row.measure for row in _lists(connection, _MAY_HAVE)):
        yield _unmeasured(database_name(connection), count, None if found is None else found.role)


def _lists(connection: Connection, measure: str) -> Sequence[Row[Any]]:
    return connection.execute(text(_LISTS.format(measure=measure))).all()


def _long(connection: Connection, schema: str) -> Iterator[Diagnosis]:
    measure = f"(SELECT pending_pages FROM {schema}.pgstatginindex(indexrelid))"
    for row in _lists(connection, measure):
        if row.measure >= _PAGES:
            name = string(quoted(row.name, row.schema))
            yield Diagnosis(
                Kind.PENDING_LIST,
                "warning",
                row.schema,
                row.table_name,
                row.name,
                f"every search reads its pending list of {row.measure} pages first",
                # Nothing where the index is gone by then, by the cure of an unused one.
                execute(f"SELECT gin_clean_pending_list(to_regclass({name}))"),
            )


def _unmeasured(database: str, count: int, role: str | None) -> Diagnosis:
    lists = f"the pending list of {count} GIN index{'es' if count > 1 else ''}"
    if role is None:
        reason = f"the extension pgstattuple would show {lists}"
        cure = line(CreateExtension("pgstattuple"))
    else:
        reason = f"{role} may not execute pgstatginindex, which shows {lists}"
        cure = execute(f"GRANT pg_stat_scan_tables TO {quoted(role)}")
    return not_known(Kind.PENDING_LIST, database, reason, cure)
