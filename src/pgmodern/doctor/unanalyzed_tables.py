"""Tables with rows of which the planner knows nothing."""

from collections.abc import Iterator

from sqlalchemy import Connection, text

from pgmodern.doctor.catalogue import TABLES
from pgmodern.doctor.cure import execute
from pgmodern.doctor.diagnosis import Diagnosis, Kind
from pgmodern.quoting import quoted

KINDS = (Kind.UNANALYZED_TABLE,)

# Autovacuum analyzes every table of more, but no partitioned one. Manual, 24.1.6 and ANALYZE.
_ROWS = 1000
# Statistics are shown to those who may read the rows; of what this role may not, nothing is said.
_UNANALYZED = text(f"""
    WITH RECURSIVE tables AS ({TABLES}),
    parts (whole, oid) AS (
        SELECT oid, oid FROM tables
        UNION ALL
        SELECT whole, inhrelid FROM parts
        JOIN pg_catalog.pg_partitioned_table ON partrelid = parts.oid
        JOIN pg_catalog.pg_inherits ON inhparent = parts.oid
    ),
    counted AS (
        SELECT whole AS oid,
               sum(greatest(reltuples, pg_stat_get_live_tuples(parts.oid)))::bigint AS rows
        FROM parts JOIN pg_catalog.pg_class AS class ON class.oid = parts.oid
        WHERE relkind <> 'p'
        GROUP BY whole
    )
    SELECT tables.schema, tables.qualifier, tables.table_name, rows, relkind = 'p'
    FROM tables JOIN counted USING (oid)
    WHERE rows >= {_ROWS} AND NOT relispartition
      AND has_table_privilege(oid, 'SELECT') AND NOT row_security_active(oid)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_stats
                      WHERE schemaname = tables.schema AND tablename = tables.table_name
                        AND inherited = (relkind = 'p'))
    ORDER BY tables.schema, tables.table_name
""")


def check(connection: Connection) -> Iterator[Diagnosis]:
    """Find tables that were never analyzed."""
    for schema, qualifier, table, rows, is_partitioned in connection.execute(_UNANALYZED):
        why = "; autovacuum never analyzes a partitioned table" if is_partitioned else ""
        yield Diagnosis(
            Kind.UNANALYZED_TABLE,
            "warning",
            schema,
            table,
            table,
            f"about {rows:,} rows, of which the planner has no statistics{why}",
            execute(f"ANALYZE {quoted(table, qualifier)}"),
        )
