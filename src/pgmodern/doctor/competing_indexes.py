"""IVFFlat indexes that the planner may take in the place of an HNSW index."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, MetaData, text

from pgmodern.doctor.catalogue import StoredIndex, by_table, stored_indexes
from pgmodern.doctor.cure import drop
from pgmodern.doctor.diagnosis import Diagnosis, Kind
from pgmodern.doctor.finding import Finding
from pgmodern.indexes import HnswIndex

KINDS = (Kind.COMPETING_INDEX,)

# An operator class is of one access method; by the family's name they are the same metric.
_METRICS = text("""
    SELECT opclass.oid, opcname FROM pg_catalog.pg_opclass AS opclass
    JOIN pg_catalog.pg_am AS method ON method.oid = opcmethod
    WHERE amname IN ('hnsw', 'ivfflat')
""")


def check(connection: Connection) -> Iterator[Diagnosis]:
    """Find IVFFlat indexes of what an HNSW index is of, by the same metric."""
    for rival, graph in rivals(connection):
        yield Diagnosis(
            Kind.COMPETING_INDEX,
            "warning",
            rival.schema,
            rival.table_name,
            rival.name,
            _detail(graph),
            drop(rival),
        )


def examine(connection: Connection, metadata: Sequence[MetaData]) -> Iterator[Finding]:
    """Say of each declared HNSW index which other index may serve its searches."""
    declared = {
        (table.name, str(index.name))
        for each in metadata
        for table in each.tables.values()
        for index in table.indexes
        if isinstance(index, HnswIndex)
    }
    for rival, graph in rivals(connection):
        if (graph.table_name, graph.name) in declared:
            yield Finding("index", rival.name, False, _detail(graph), drop(rival))


def rivals(connection: Connection) -> list[tuple[StoredIndex, StoredIndex]]:
    """Return each IVFFlat index with the HNSW index in whose place it may be scanned."""
    metrics = {int(row.oid): str(row.opcname) for row in connection.execute(_METRICS)}
    return [
        (rival, graph)
        for indexes in by_table(stored_indexes(connection)).values()
        for rival in indexes
        for graph in indexes
        if (rival.method, graph.method) == ("ivfflat", "hnsw")
        and rival.is_valid
        and _what(rival, metrics) == _what(graph, metrics)
    ]


def _what(index: StoredIndex, metrics: dict[int, str]) -> tuple[object, ...]:
    keys = tuple((key.column, metrics.get(key.opclass)) for key in index.keys)
    return keys, index.expressions, index.predicate


def _detail(graph: StoredIndex) -> str:
    return (
        f"the planner may scan it in the place of {graph.name}; it looks at one list of its "
        "vectors, unless ivfflat.probes says otherwise, and finds fewer of the nearest"
    )
