"""Whether a read is served by the index that is declared for it; if not, why, and what to do."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Index, text
from sqlalchemy.orm import Session

from pgmodern.queries.explain import (
    Plans,
    in_whole,
    indexes_used,
    plans_of,
    statements_of,
    tables_scanned,
)

_DEFINITIONS = text("""
    SELECT relname, pg_get_indexdef(oid) FROM pg_class
    WHERE relkind IN ('i', 'I') AND relname = ANY (:names)
""")
_FEW_ROWS = """\
The index can serve the read, but PostgreSQL reads {tables} from end to end: that costs less \
where a table has few rows.
To ask only whether the index can serve the read, call assert_uses_index(..., enable_seqscan=False).
To have PostgreSQL choose as in production, insert as many rows as there, then run ANALYZE."""
_NOT_SERVED = """\
It is not used without sequential scans either. Compare the read's expression, operator and \
predicate with what the index holds, or see which index PostgreSQL prefers:
{definitions}"""
_NOT_THERE = "There is no index {names} in this database. Write the revision that creates it."


@dataclass(frozen=True, slots=True)
class _Miss:
    """Indexes that a kind of plan does not use, and those that it does."""

    kind: Literal["custom", "generic"]
    names: Sequence[str]
    used: Sequence[str]
    plans: Sequence[tuple[str, Any]]


def assert_uses_index(
    session: Session,
    read: Callable[[], object],
    *indexes: Index | str,
    enable_seqscan: bool = True,
) -> None:
    """Do what the fixture `assert_uses_index` promises."""
    named = {str(index.name) if isinstance(index, Index) else index for index in indexes}
    sent = statements_of(session.connection(), read)
    with _sequential_scans(session, enabled=enable_seqscan):
        miss = _missed(session, named, plans_of(session, sent))
    if miss is None:
        return
    with _sequential_scans(session, enabled=False):
        still = _missed(session, named, plans_of(session, sent))
    raise AssertionError(_message(miss, _advice(session, miss, still)))


@contextmanager
def _sequential_scans(session: Session, *, enabled: bool) -> Iterator[None]:
    """Have the planner do without them, unless they are enabled."""
    before = session.scalar(text("SHOW enable_seqscan"))
    if not enabled:
        session.execute(text("SET LOCAL enable_seqscan = off"))
    yield
    session.execute(text(f"SET LOCAL enable_seqscan = {before}"))


def _missed(session: Session, named: set[str], sent: Sequence[Plans]) -> _Miss | None:
    """Return the first kind of plan that does not use all of the indexes."""
    kinds: tuple[Literal["custom", "generic"], ...] = ("custom", "generic")
    for kind in kinds:
        each = [(plan.statement, getattr(plan, kind)) for plan in sent]
        used = in_whole(session, [name for _, plan in each for name in indexes_used(plan)])
        if not named <= used:
            return _Miss(kind, sorted(named - used), sorted(used), each)
    return None


def _advice(session: Session, miss: _Miss, still: _Miss | None) -> str:
    """Say what to do; `still` is what is missed without sequential scans."""
    found = session.execute(_DEFINITIONS, {"names": list(miss.names)})
    definitions = {each.relname: each.pg_get_indexdef for each in found}
    if absent := [name for name in miss.names if name not in definitions]:
        return _NOT_THERE.format(names=", ".join(absent))
    if still is None:
        scanned = {table for _, plan in miss.plans for table in tables_scanned(plan)}
        return _FEW_ROWS.format(tables=", ".join(sorted(scanned)))
    return _NOT_SERVED.format(definitions="\n".join(definitions.values()))


def _message(miss: _Miss, advice: str) -> str:
    shown = "\n\n".join(f"{sql}\n{json.dumps(plan, indent=1)}" for sql, plan in miss.plans)
    return (
        f"{', '.join(miss.names)} is not in the {miss.kind} plan, which uses "
        f"{', '.join(miss.used) or 'no index'}.\n{advice}\n\n{shown}"
    )
