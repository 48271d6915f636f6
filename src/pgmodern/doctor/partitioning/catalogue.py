"""Tables and their columns, as the catalogue and the statistics have them; no row is read."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from pgmodern.doctor.catalogue import TABLES
from pgmodern.doctor.partitioning.facts import Column, Refusal, Server, Table
from pgmodern.doctor.partitioning.statements import Called, Reads, reads
from pgmodern.doctor.statistics import Statistics, words
from pgmodern.operations.partitions.refusals import REFUSALS

# A name is as it is written in messages: with its schema, or without where it is found by itself.
_NAMED = text(f"""
    SELECT oid, schema, qualifier, table_name AS name, relkind = 'p' AS is_partitioned
    FROM ({TABLES}) AS tables
    WHERE CASE WHEN CAST(:name AS text) IS NULL THEN relkind = 'r' AND NOT relispartition
               ELSE schema || '.' || table_name = :name
                    OR table_name = :name AND pg_table_is_visible(oid) END
    ORDER BY schema, table_name
""")
# ACCESS SHARE on the table for an instant, which its size takes.
_SIZE = text("""
    SELECT CASE WHEN reltuples >= 0 OR pg_stat_get_live_tuples(oid) > 0
                THEN greatest(reltuples, pg_stat_get_live_tuples(oid))::bigint END AS rows,
           coalesce(pg_total_relation_size(oid), 0) AS bytes,
           pg_stat_get_tuples_inserted(oid) AS inserted,
           pg_stat_get_tuples_deleted(oid) AS deleted,
           pg_stat_get_numscans(oid) + coalesce((
               SELECT sum(pg_stat_get_numscans(indexrelid)) FROM pg_catalog.pg_index
               WHERE indrelid = pg_class.oid), 0)::bigint AS scans
    FROM pg_catalog.pg_class WHERE oid = :oid
""")
# Any interval of the type will do to ask for refusals: which one is decided with what is found.
_COLUMNS = text(f"""
    SELECT key AS name, is_time, middle, high, correlation, (
               SELECT coalesce(sum(pg_stat_get_numscans(indexrelid)), 0)::bigint
               FROM pg_catalog.pg_index WHERE indrelid = origin AND indkey[0] = a.attnum
           ) AS scans,
           ARRAY(SELECT ARRAY[cause, cure] FROM ({REFUSALS}) AS refusal (cause, cure)) AS refusals
    FROM pg_catalog.pg_class AS own
    JOIN pg_catalog.pg_namespace AS namespace ON namespace.oid = own.relnamespace
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = own.oid
    CROSS JOIN LATERAL (
        SELECT own.oid::regclass AS origin, nspname::text AS place, attname::text AS key,
               atttypid::regtype::text AS kind,
               atttypid NOT IN ('int8'::regtype, 'int4'::regtype, 'int2'::regtype) AS is_time,
               CASE WHEN atttypid IN ('int8'::regtype, 'int4'::regtype, 'int2'::regtype)
                    THEN '1' ELSE '1 month' END AS step
    ) AS given
    LEFT JOIN pg_catalog.pg_stats AS known ON schemaname = place AND tablename = own.relname
         AND known.attname = a.attname AND NOT inherited
    CROSS JOIN LATERAL (
        SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY value) AS middle, max(value) AS high
        FROM (
            SELECT CASE WHEN is_time THEN extract(epoch FROM stored::timestamptz)::float8
                        ELSE stored::float8 END AS value
            FROM unnest(coalesce(most_common_vals::text::text[], '{{}}')
                        || coalesce(histogram_bounds::text::text[], '{{}}')) AS stored
        ) AS spread
    ) AS seen
    WHERE own.oid = :oid AND a.attnum > 0 AND NOT attisdropped AND attgenerated = ''
      AND atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype,
                       'int8'::regtype, 'int4'::regtype, 'int2'::regtype)
    ORDER BY a.attnum
""")
# The planner's own estimate of what the server and its system keep in memory for a query.
_SERVER = text("""
    SELECT pg_size_bytes(current_setting(name)) AS memory,
           name || CASE WHEN source = 'default' THEN ', by default' ELSE '' END AS source,
           extract(epoch FROM now())::float8 AS now
    FROM pg_catalog.pg_settings WHERE name = 'effective_cache_size'
""")


def tables(connection: Connection, name: str | None) -> list[dict[str, Any]]:
    """Return the application's ordinary tables, or those of that name, which may be any."""
    return [dict(row) for row in connection.execute(_NAMED, {"name": name}).mappings()]


def table(
    connection: Connection, named: dict[str, Any], every: Sequence[Called], age: str
) -> Table:
    """Return what is known of a table; ACCESS SHARE on it for an instant."""
    given = {"oid": named["oid"]}
    size = dict(connection.execute(_SIZE, given).mappings().one())
    every_scan = size.pop("scans")
    rows = connection.execute(_COLUMNS, given).mappings().all()
    counted = reads(every, named["schema"], named["name"], [row["name"] for row in rows])
    source = "pg_stat_statements"
    if not counted.total:
        scans = {row["name"]: row["scans"] for row in rows}
        counted = Reads(every_scan, scans, dict.fromkeys(scans, 0))
        source = f"scans of {age}, without pg_stat_statements"
    columns = tuple(_column(row, counted) for row in rows)
    of = {key: named[key] for key in ("schema", "qualifier", "name", "is_partitioned")}
    return Table(**of, **size, reads=counted.total, source=source, columns=columns)


def _column(row: Any, counted: Reads) -> Column:
    name = row["name"]
    return Column(
        name,
        row["is_time"],
        row["middle"],
        row["high"],
        row["correlation"],
        counted.columns[name],
        counted.removals[name],
        tuple(Refusal(*each) for each in row["refusals"]),
    )


def server(connection: Connection, memory: int | None) -> tuple[Server, str]:
    """Return what the tables live on, and the age of its statistics in words."""
    found = connection.execute(_SERVER).mappings().one()
    age = Statistics.of(connection).age or timedelta(0)
    known = Server(
        memory or found["memory"],
        "as given" if memory else found["source"],
        found["now"],
        age / timedelta(days=1),
    )
    return known, words(age)
