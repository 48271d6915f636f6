"""An index on a table that is in use is built and dropped online.

`CREATE INDEX` lets nobody write to the table until it is built, a unique constraint or a primary
key lets nobody read it either, and `DROP INDEX` waits in front of all who come after it until the
queries before it have ended. `op.create_index_online` and `op.drop_index_online` build and drop
`CONCURRENTLY`, and mend what a killed run left behind.

Read from the SQL that the revision writes, so an index of `op.execute`, of `index=True`, or of a
loop counts too. Not found: an index on a table that the same revision creates. Where the database
is asked (no range is given) only the tables of `--large` rows or more are found, and those without
statistics; one that is not there yet is empty. Without a database each counts as large.

An index on a partitioned table cannot be built `CONCURRENTLY` as a whole: build it online on each
partition, then allow this rule in the revision whose `op.create_index` takes these over.
"""

import re
from collections.abc import Collection, Iterator

from pgmodern.lint.revision import Project, Revision, Statement
from pgmodern.lint.rule import Found, rule
from pgmodern.lint.sql import NAME, bare, folded

BAD = '''
"""Songs are found by their title."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index("ix_songs_title", "songs", ["title"])  # found


def downgrade() -> None:
    op.drop_index("ix_songs_title")
'''

GOOD = '''
"""Songs are found by their title."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_index_online("ix_songs_title", "songs", ["title"])


def downgrade() -> None:
    op.drop_index_online("ix_songs_title")
'''

_CREATES = re.compile(
    r"\bCREATE\s+(?:(?:GLOBAL|LOCAL)\s+)?(?:(?:TEMP|TEMPORARY|UNLOGGED)\s+)?"
    rf"(?:TABLE|MATERIALIZED\s+VIEW)\s+(?:IF\s+NOT\s+EXISTS\s+)?(?P<name>{NAME})",
    re.IGNORECASE,
)
_BUILDS = re.compile(
    r"\bCREATE\s+(?:UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY\b)(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"(?:(?!ON\b)(?P<index>{NAME})\s+)?ON\s+(?:ONLY\s+)?(?P<name>{NAME})",
    re.IGNORECASE,
)
_DROPS = re.compile(
    rf"\bDROP\s+INDEX\s+(?!CONCURRENTLY\b)(?:IF\s+EXISTS\s+)?(?P<names>{NAME}(?:\s*,\s*{NAME})*)",
    re.IGNORECASE,
)
_CONSTRAINS = re.compile(
    rf"\bALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?(?P<name>{NAME})\s+(?P<clauses>[^;]*)",
    re.IGNORECASE,
)
_KEY = re.compile(
    r'\bADD\b[^;]*?(?<!")\b(?P<kind>UNIQUE|PRIMARY\s+KEY|EXCLUDE)\b(?!\s+USING\s+INDEX\b)',
    re.IGNORECASE,
)


def _check(revision: Revision, project: Project) -> Iterator[Found]:
    new = frozenset(_new(revision))
    for statement in revision.statements:
        if not statement.proved:
            sql = bare(statement.sql)
            yield from _built(statement, sql, new, project)
            yield from _constrained(statement, sql, new, project)
            yield from _dropped(statement, sql, new, project)


def _new(revision: Revision) -> Iterator[str]:
    """Yield the tables that a revision creates, also in a block, and the indexes on them."""
    statements = revision.statements
    tables = {folded(found["name"]) for each in statements for found in _CREATES.finditer(each.sql)}
    yield from tables
    for each in statements:
        for found in _BUILDS.finditer(bare(each.sql)):
            if found["index"] and folded(found["name"]) in tables:
                yield folded(found["index"])


def _is_large(name: str, new: Collection[str], project: Project) -> bool:
    if name in new:
        return False
    if project.rows is None:
        return True
    rows = project.rows.get(name, 0)
    return rows is None or rows >= project.large


def _built(
    statement: Statement, sql: str, new: Collection[str], project: Project
) -> Iterator[Found]:
    for found in _BUILDS.finditer(sql):
        if _is_large(table := folded(found["name"]), new, project):
            yield _found(
                statement,
                f"CREATE INDEX: nobody writes to {_sized(table, project)} until it is built.",
                "op.create_index_online, in a revision of online operations alone.",
            )


def _constrained(
    statement: Statement, sql: str, new: Collection[str], project: Project
) -> Iterator[Found]:
    for found in _CONSTRAINS.finditer(sql):
        key, table = _KEY.search(found["clauses"]), folded(found["name"])
        if key and _is_large(table, new, project):
            kind, of = " ".join(key["kind"].upper().split()), _sized(table, project)
            message = f"{kind}: nobody reads or writes {of} until its index is built."
            yield _found(statement, message, _cure(kind))


def _cure(kind: str) -> str:
    if kind == "EXCLUDE":
        return "Add it while the table is new, or when nobody works."
    return (
        "op.create_index_online with unique=True, which keeps the values unique; if it has to be "
        f"a constraint, then, in a revision after it, ALTER TABLE … ADD {kind} USING INDEX."
    )


def _dropped(
    statement: Statement, sql: str, new: Collection[str], project: Project
) -> Iterator[Found]:
    for found in _DROPS.finditer(sql):
        for index in map(folded, re.findall(NAME, found["names"])):
            if _is_large(index, new, project):
                of = "" if project.rows is None else f" of {_sized(index, project)}"
                yield _found(
                    statement,
                    f"DROP INDEX {index} waits for all who use the table{of}, and all who come "
                    "after wait for it.",
                    "op.drop_index_online, in a revision of online operations alone.",
                )


def _sized(name: str, project: Project) -> str:
    rows = (project.rows or {}).get(name)
    return name if rows is None else f"{name} (about {rows:,.0f} rows)"


def _found(statement: Statement, message: str, cure: str) -> Found:
    assert statement.line is not None  # it is the revision's own
    return Found(statement.line, message, cure, statement)


RULE = rule("index-not-online", "error", __doc__, bad=BAD, good=GOOD, check=_check)
