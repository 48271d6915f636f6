"""Indexes that another one makes superfluous: the same, a prefix, or a copy of a unique one."""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection

from pgmodern.doctor.catalogue import StoredIndex, by_table, stored_indexes
from pgmodern.doctor.cure import drop
from pgmodern.doctor.diagnosis import Diagnosis, Kind

KINDS = (Kind.DUPLICATE_INDEX, Kind.COVERED_INDEX, Kind.KEY_COPY)


def check(connection: Connection) -> Iterator[Diagnosis]:
    """Find indexes that cost every write and answer nothing that another does not."""
    for index, keeper in redundant(stored_indexes(connection)):
        kind, detail = _judged(index, keeper)
        yield Diagnosis(
            kind, "warning", index.schema, index.table_name, index.name, detail, drop(index)
        )


def redundant(indexes: Sequence[StoredIndex]) -> list[tuple[StoredIndex, StoredIndex]]:
    """Return the indexes that may go, each with one that stays and does all that it did.

    All of them may go together: what an index that goes covers, the one that stays covers too.
    """
    tables = by_table(index for index in indexes if index.is_valid).values()
    return [pair for of_one_table in tables for pair in _redundant(of_one_table)]


def _redundant(indexes: Sequence[StoredIndex]) -> Iterator[tuple[StoredIndex, StoredIndex]]:
    outliving = {
        index.oid: [other for other in indexes if _outlives(other, index)] for index in indexes
    }
    for index in indexes:
        staying = [other for other in outliving[index.oid] if not outliving[other.oid]]
        if staying:
            yield index, min(staying, key=_preference)


def _preference(index: StoredIndex) -> tuple[int, bool, int]:
    return len(index.keys), not index.is_unique, index.oid


def _outlives(other: StoredIndex, index: StoredIndex) -> bool:
    """Tell whether the index may go because of the other; of two that are alike, the later."""
    if other is index or index.is_pinned or not _covers(other, index):
        return False
    return not _covers(index, other) or other.is_pinned or other.oid < index.oid


def _covers(other: StoredIndex, index: StoredIndex) -> bool:
    """Tell whether the other one does all that the index does."""
    return (
        (other.table_oid, other.method, other.predicate)
        == (index.table_oid, index.method, index.predicate)
        and (_starts_like(other, index) if index.method == "btree" else _same(other, index))
        and (not index.is_unique or _enforces(other, index))
    )


def _starts_like(other: StoredIndex, index: StoredIndex) -> bool:
    """Tell whether a B-tree has the index's key as a prefix and can return its other columns."""
    count = len(index.keys)
    rest = {key.column for key in other.keys[count:]}
    return (
        other.keys[:count] == index.keys
        and other.expressions.startswith(index.expressions)
        and index.included <= other.included | rest
    )


def _same(other: StoredIndex, index: StoredIndex) -> bool:
    """Tell whether indexes of another method are alike, down to their parameters.

    Those of HNSW or BRIN decide what a scan finds or costs.
    """
    return (other.keys, other.expressions, other.included, other.parameters) == (
        index.keys,
        index.expressions,
        index.included,
        index.parameters,
    )


def _enforces(other: StoredIndex, index: StoredIndex) -> bool:
    """Tell whether the other one keeps rows unique by the same key, at the same moment."""
    return other.is_unique and (other.keys, other.nulls_not_distinct, other.is_immediate) == (
        index.keys,
        index.nulls_not_distinct,
        index.is_immediate,
    )


def _judged(index: StoredIndex, keeper: StoredIndex) -> tuple[Kind, str]:
    if index.keys != keeper.keys or index.included != keeper.included:
        return Kind.COVERED_INDEX, f"{keeper.name} begins with its columns and serves its queries"
    if keeper.is_primary:
        return Kind.KEY_COPY, f"a copy of {keeper.name}, the primary key's index"
    if keeper.constraint_name is not None:
        return Kind.KEY_COPY, f"a copy of {keeper.name}, the index of a constraint"
    if keeper.is_unique and not index.is_unique:
        return Kind.KEY_COPY, f"a copy of {keeper.name}, which is unique"
    return Kind.DUPLICATE_INDEX, f"the same as {keeper.name}"
