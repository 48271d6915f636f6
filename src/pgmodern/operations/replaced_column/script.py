"""The steps of a change of type as SQL: those that lock, and the whole of it for psql."""

from __future__ import annotations

from pgmodern import backfill
from pgmodern.locks import SECOND_LOCK, LockPolicy, bounded, milliseconds
from pgmodern.operations.replaced_column import STALE, UNCONVERTED, ColumnChange
from pgmodern.quoting import string

_COMMENT = r"""-- For psql with ON_ERROR_STOP: the catalogue decides what is to be built, and
-- \gexec runs it. Where a lock is not had in time it stops: run it again, it goes on."""
# When rows are converted for trial, and which: before anything is done, and before the swap.
_CHECK_CONVERTIBLE = "state.direction = 'forth' AND NOT pg_temp.pgmodern_is_filling()", "NULL"
_CHECK_CONVERTED = "true", "format('%I IS NULL', state.shadow)"


def locked(change: ColumnChange, step: str) -> tuple[str, str]:
    """Return the statements that do a step, decided and done under one lock."""
    return (
        f"LOCK TABLE {change.names.relation} IN ACCESS EXCLUSIVE MODE",
        f"""DO $pgmodern$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY ARRAY(SELECT pg_temp.pgmodern_{step}()) LOOP
        EXECUTE statement;
    END LOOP;
END
$pgmodern$""",
    )


def swap(change: ColumnChange) -> tuple[str, ...]:
    """Return the statements of the swap; under one lock: see that all is ready, then rename."""
    lock, names = locked(change, "swap")
    # A foreign key's other table is locked second.
    return (lock, SECOND_LOCK, "SET LOCAL enable_seqscan = off", _check_ready(change), names)


def _check_ready(change: ColumnChange) -> str:
    """The block that raises where rows came in that cannot be converted, or the plan is old."""
    return f"""DO $pgmodern$
DECLARE
    state record;
    unconverted boolean;
BEGIN
    SELECT * INTO state FROM pg_temp.pgmodern_state();
    IF state.direction <> 'done' THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE %I IS NOT NULL AND %I IS NULL)',
            state.relation, {string(change.names.column)}, state.shadow) INTO unconverted;
        IF unconverted THEN
            RAISE EXCEPTION 'rows of % cannot be converted', state.relation
                USING ERRCODE = '{UNCONVERTED}',
                HINT = format('SELECT * FROM %s WHERE %I IS NOT NULL AND %I IS NULL',
                    state.relation, {string(change.names.column)}, state.shadow);
        END IF;
        IF EXISTS (SELECT pg_temp.pgmodern_left() UNION ALL SELECT pg_temp.pgmodern_indexes()
            UNION ALL SELECT pg_temp.pgmodern_missing()
            UNION ALL SELECT pg_temp.pgmodern_validations()
            UNION ALL SELECT pg_temp.pgmodern_dependents()) THEN
            RAISE EXCEPTION '% was altered meanwhile: run this again', state.relation
                USING ERRCODE = '{STALE}';
        END IF;
    END IF;
END
$pgmodern$"""


def script(change: ColumnChange, policy: LockPolicy) -> str:
    r"""Return the change as a script for psql, whose `\gexec` runs what a query returns."""
    build, brief = (
        f"SET lock_timeout = '{milliseconds(each)}';" for each in (policy.build, policy.timeout)
    )
    lines = [
        _COMMENT,
        "SET client_min_messages = warning;",
        *(f"{function.strip()};" for function in change.functions),
        f"{_refuse(change)};",
        *([f"{_require_none(*_CHECK_CONVERTIBLE)};"] if change.rehearse else []),
        "SELECT direction = 'forth' AS pgmodern_forth, direction <> 'done' AS pgmodern_todo "
        "FROM pg_temp.pgmodern_state() \\gset",
        "\\if :pgmodern_forth",
        _briefly(policy, *locked(change, "begin")),
        f"{backfill.offline(change.backfill())};",
        "\\endif\n\\if :pgmodern_todo",
        f"{_require_none(*_CHECK_CONVERTED)};",
        build,
        *(f"SELECT pg_temp.pgmodern_{step}() \\gexec" for step in ("left", "indexes")),
        brief,
        *(f"SELECT pg_temp.pgmodern_{step}() \\gexec" for step in ("missing", "validations")),
        _briefly(policy, *swap(change)),
        "\\else",
        brief,
        "SELECT pg_temp.pgmodern_abandoned() \\gexec",
        "\\endif",
        "RESET client_min_messages",
    ]
    return "\n\n".join(lines)


def _refuse(change: ColumnChange) -> str:
    return f"""DO $pgmodern$
DECLARE
    found text := (SELECT string_agg(cause, '; ') FROM pg_temp.pgmodern_refusals());
BEGIN
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'the type of % cannot be changed: %',
            {string(f"{change.names.table}.{change.names.column}")}, found;
    END IF;
END
$pgmodern$"""


def _briefly(policy: LockPolicy, *statements: str) -> str:
    body = "\n".join(f"{each};" for each in (bounded(policy.timeout), *statements))
    return f"BEGIN;\n{body}\nCOMMIT;"


def _require_none(when: str, among: str) -> str:
    """Return the block that raises with the keys of rows that cannot be converted, by reason."""
    return f"""DO $pgmodern$
DECLARE
    state record;
    found text;
BEGIN
    SELECT * INTO state FROM pg_temp.pgmodern_state();
    IF {when} THEN
        SELECT string_agg(format('%s. Keys: %s', reason, keys), '; ') INTO found
        FROM pg_temp.pgmodern_unconvertible({among});
    END IF;
    IF found IS NOT NULL THEN
        RAISE EXCEPTION 'rows of % cannot be converted: %',
            state.relation, found USING ERRCODE = '{UNCONVERTED}';
    END IF;
END
$pgmodern$"""
