"""Full-text indexes: words and phrases of one or more text columns, weighted."""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, get_args

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Float,
    Table,
    Text,
    cast,
    event,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import REGCONFIG, TSQUERY, TSVECTOR

from pgmodern.errors import DeclarationError
from pgmodern.extensions import UNACCENT, Extension
from pgmodern.indexes.declared import DeclaredIndex, constant, execute, unlabelled
from pgmodern.indexes.search_vector import SearchVector, Weight, document, dropping
from pgmodern.indexes.source import Source, as_column, require_type

SIMPLE_UNACCENT = "public.simple_unaccent"
_TEXTS = {"TEXT", "VARCHAR", "CHAR", "CITEXT"}
# The text search parser knows entities and leaves them whole.
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;"}


def configuration_sql(name: str, copy: str, dictionary: str) -> tuple[str, str]:
    """Return the statements that create a text search configuration that ignores accents.

    Each word passes `unaccent` first (manual, F.48 unaccent), then the dictionary.
    """
    return (
        f"CREATE TEXT SEARCH CONFIGURATION {name} (COPY = {copy})",
        f"ALTER TEXT SEARCH CONFIGURATION {name} ALTER MAPPING FOR hword, hword_part, word, "
        f"numhword, hword_numpart, numword WITH unaccent, {dictionary}",
    )


class FullTextIndex(DeclaredIndex):
    """GIN on a tsvector (manual, 12.9 Preferred Index Types for Text Search).

    `stored` names the column that a trigger keeps (`op.add_search_vector_online`): ranking then
    reads it. Without it the index is on the expression itself: nothing to keep or to backfill,
    but every ranked row is parsed again (see docs/full-text.md for what that costs).
    """

    extensions: ClassVar[tuple[Extension, ...]] = (UNACCENT,)

    def __init__(
        self,
        name: str,
        sources: Sequence[tuple[Source, Weight]],
        *,
        stored: Source | None = None,
        configuration: str = SIMPLE_UNACCENT,
    ) -> None:
        self.configuration = configuration
        self._configuration = cast(constant(configuration), REGCONFIG)
        self._sources = _weighted(f"Index {name}", sources)
        whole = document(self._sources, configuration).label("document")
        super().__init__(name, whole if stored is None else stored, method="gin")

    def _attached(self, opclass: str | None) -> None:
        super()._attached(opclass)
        event.listen(self.parent, "after_create", self._keep)
        event.listen(self.parent, "after_drop", self._forget)

    def _keep(self, _: Table, connection: Connection, **__: Any) -> None:
        """Have the trigger keep the stored column, in a table that `create_all()` made."""
        if (kept := self.search_vector) is not None:
            execute(connection, kept.definitions())

    def _forget(self, _: Table, connection: Connection, **__: Any) -> None:
        """Drop what `drop_all()` leaves: the trigger went with its table, its function did not."""
        if (kept := self.search_vector) is not None:
            _trigger, function = dropping(kept.table_name, kept.column_name, kept.schema)
            execute(connection, [function])

    def check(self) -> None:
        """Raise DeclarationError where a source is no text, or the stored column no tsvector."""
        for column, _ in self._sources:
            require_type(f"Index {self.name}", column, _TEXTS)
        require_type(f"Index {self.name}", self.vector, {"TSVECTOR"})

    def prerequisites(self) -> Iterator[str]:
        """Return what must have been executed before the index can be; each can be repeated."""
        yield from super().prerequisites()
        if self.configuration == SIMPLE_UNACCENT:
            simple = "pg_catalog.simple"
            create, alter = configuration_sql(SIMPLE_UNACCENT, simple, simple)
            yield (
                "DO $do$ BEGIN IF NOT EXISTS (SELECT FROM pg_catalog.pg_ts_config "
                "WHERE cfgname = 'simple_unaccent' AND cfgnamespace = 'public'::regnamespace) "
                f"THEN {create}; {alter}; END IF; END $do$"
            )

    @property
    def search_vector(self) -> SearchVector | None:
        """What a trigger keeps; None where no column is stored, or PostgreSQL generates it."""
        column, table = self.vector, self.parent
        if not isinstance(column, Column) or column.computed is not None:
            return None
        key = next(iter(table.primary_key.columns or table.columns))
        given = table.name, column.name, self.weights, self.configuration, key.name, table.schema
        return SearchVector(*given)

    @property
    def weights(self) -> dict[str, Weight]:
        """The names of the source columns, each with its weight."""
        return {column.name: weight for column, weight in self._sources}

    @property
    def vector(self) -> ColumnElement[Any]:
        """The tsvector that is indexed: the stored column, or the expression."""
        return unlabelled(self.indexed)

    @property
    def stored(self) -> str | None:
        """The name of the column that is indexed; None for an index on the expression."""
        return self.vector.name if isinstance(self.vector, Column) else None

    def lexemes(self, text: ColumnElement[str]) -> ColumnElement[Any]:
        """The words of a text as the index holds them, a tsvector."""
        return func.to_tsvector(self._configuration, text, type_=TSVECTOR)

    def query(self, text: str | ColumnElement[str]) -> ColumnElement[Any]:
        """Parse words, "a phrase", or, -not (manual, 12.3.2); a text that PostgreSQL can store."""
        return func.websearch_to_tsquery(self._configuration, text)

    def matches(self, query: ColumnElement[Any]) -> ColumnElement[bool]:
        """Whether the row's words match the parsed query."""
        return self.vector.bool_op("@@")(query)

    def rank(self, query: ColumnElement[Any]) -> ColumnElement[float]:
        """How well the row matches, in 0..1, by the frequency and weight of the words found.

        Words that must be absent do not count: `ts_rank` gives every row of `love -hate` zero.
        """
        # A subquery is computed once; in a generic plan the cast was parsed again for every row.
        present = select(cast(func.querytree(query, type_=Text), TSQUERY)).scalar_subquery()
        scaled_to_one = 32
        return func.ts_rank(self.vector, present, constant(scaled_to_one), type_=Float)

    def highlight(self, query: ColumnElement[Any]) -> ColumnElement[str]:
        """HTML: the sources' text, escaped, with the words found between <b> and </b>."""
        text: ColumnElement[str] = func.concat_ws(
            constant(" / "), *(column for column, _ in self._sources)
        )
        for character, entity in _ENTITIES.items():
            text = func.replace(text, constant(character), constant(entity))
        return func.ts_headline(self._configuration, text, query, type_=Text)


def _weighted(
    what: str, sources: Sequence[tuple[Source, Weight]]
) -> tuple[tuple[ColumnElement[Any], Weight], ...]:
    """Return the columns and their weights; raise DeclarationError where they are no such pairs."""
    pairs: list[tuple[ColumnElement[Any], Weight]] = []
    for source in sources:
        if not isinstance(source, tuple) or len(source) != 2:
            raise DeclarationError(
                f"{what} has a source without a weight.",
                'Pass pairs of a column and a weight, "A" to "D": [(title, "A"), (body, "B")].',
            )
        column, weight = source
        if weight not in get_args(Weight):
            raise DeclarationError(
                f"{what} gives a source the weight {weight!r}.", 'Weights are "A" to "D".'
            )
        pairs.append((as_column(column, what), weight))
    if not pairs:
        raise DeclarationError(f"{what} has no sources.", 'Pass pairs: [(title, "A")].')
    return tuple(pairs)
