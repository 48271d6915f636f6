"""Text search configurations that full-text indexes name are there; others are left alone."""

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations import MigrateOperation
from alembic.operations.ops import UpgradeOps
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Connection, text

from pgmodern.indexes import FullTextIndex
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.text_search_configuration import CreateTextSearchConfiguration

_MISSING = text("""
    SELECT name FROM unnest(CAST(:names AS text[])) AS name WHERE NOT EXISTS (
        SELECT FROM pg_catalog.pg_ts_config AS c
        JOIN pg_catalog.pg_namespace AS n ON n.oid = cfgnamespace
        WHERE parse_ident(name) = ARRAY[nspname::text, cfgname::text]
           OR parse_ident(name) = ARRAY[cfgname::text] AND pg_ts_config_is_visible(c.oid))
""")
_KNOWN = text("""
    SELECT EXISTS (SELECT FROM pg_catalog.pg_ts_config
                   WHERE cfgname = :language AND cfgnamespace = 'pg_catalog'::regnamespace),
           EXISTS (SELECT FROM pg_catalog.pg_ts_dict
                   WHERE dictname = :stem AND dictnamespace = 'pg_catalog'::regnamespace)
""")
_ENDING = "_unaccent"


def compare(
    context: AutogenContext, operations: UpgradeOps, _schemas: set[str | None]
) -> PriorityDispatchResult:
    """Create those that are missing, where their name says what they are.

    `<language>_unaccent` has the words of a language, or of `simple`, without accents.
    """
    assert context.connection is not None
    names = sorted(
        {
            index.configuration
            for table in context.sorted_tables
            for index in table.indexes
            if isinstance(index, FullTextIndex)
        }
    )
    if names:
        missing = context.connection.scalars(_MISSING, {"names": names}).all()
        operations.ops[:0] = [_operation(context.connection, str(name)) for name in missing]
    return PriorityDispatchResult.CONTINUE


def _operation(connection: Connection, name: str) -> MigrateOperation:
    language = name.rpartition(".")[2].removesuffix(_ENDING)
    known, stems = connection.execute(
        _KNOWN, {"language": language, "stem": f"{language}_stem"}
    ).one()
    if not (name.endswith(_ENDING) and known):
        return ByHand(
            name,
            "there is no such text search configuration. op.create_text_search_configuration "
            "makes one that ignores accents, of the one that it copies.",
        )
    dictionary = f"pg_catalog.{language}_stem" if stems else f"pg_catalog.{language}"
    return CreateTextSearchConfiguration(name, f"pg_catalog.{language}", dictionary)


def register() -> None:
    """Have it run before Alembic's own comparison of tables."""
    comparators.dispatch_for("schema", qualifier="postgresql", priority=DispatchPriority.FIRST)(
        compare
    )
