"""Okapi BM25: the rows that a question in plain words is about."""

import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    REAL,
    ColumnElement,
    Float,
    SmallInteger,
    Subquery,
    Text,
    cast,
    column,
    func,
    or_,
    select,
    table,
    tablesample,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import OID, TSQUERY, TSVECTOR
from sqlalchemy.sql.util import ClauseAdapter

from pgmodern.indexes import FullTextIndex
from pgmodern.indexes.declared import constant
from pgmodern.queries.statement import Statement, rows
from pgmodern.queries.statistics import CLASS, oid_of, size_of
from pgmodern.queries.text import Typed, sought

# How soon a word that a row repeats adds nothing, and how much long rows are held back.
_K1, _B = 1.2, 0.75
# A word in more rows than these finds none by itself; it only adds to the score of others' finds.
COMMON = 10_000
# The score is computed of so many rows more than are asked for, those that hold the rarest words.
CANDIDATES = 100
_SAMPLED = 1_000


def bm25(
    index: FullTextIndex, text: Typed, limit: int = 10, *, where: Sequence[ColumnElement[bool]] = ()
) -> Statement:
    """Select the rows that the words of a text say most about: key and score, the best first.

    Any of the words is enough: unlike `full_text`, this takes whole sentences, all of whose words
    hardly any row has. What a word is worth follows from how few rows hold it (Robertson and
    Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009): of common words ANALYZE
    has found that out, others are counted. The score is a part of what a row would get that
    repeats every word without end.
    """
    *before, words = _words(index, sought(text))
    found = _found(index, words, where, limit)
    average = (
        select(_average_length(index).label("length")).cte("average").prefix_with("MATERIALIZED")
    )
    read = _read(index, found)
    said = _said(read.c.vector, words.c.query)
    length = cast(func.length(read.c.vector), Float) / average.c.length
    slow = constant(_K1) * (constant(1 - _B) + constant(_B) * length)
    part = words.c.worth * said * constant(_K1 + 1) / (said + slow)
    best = select(func.sum(words.c.worth) * constant(_K1 + 1)).scalar_subquery()
    sums = select(func.sum(part).label("sum")).select_from(words)
    scored = sums.correlate(read, average).lateral("scored")
    score = func.least(constant(1.0), scored.c.sum / best, type_=Float()).label("score")
    key = [read.c[each.key] for each in index.key]
    return (
        select(*key, score)
        .select_from(read.join(average, true()).join(scored, true()))
        .order_by(score.desc(), *key)
        .limit(rows(limit))
        .add_cte(*before, words, found, nest_here=True)
    )


def _read(index: FullTextIndex, found: CTE) -> Subquery:
    """Select the candidates' keys, and the words of each, fetched or parsed once.

    A function that is given a column fetches what lies out of line anew, at each call.
    """
    whole = index.vector.concat(cast(constant(""), TSVECTOR)).label("vector")
    same = tuple_(*index.key) == tuple_(*(found.c[each.key] for each in index.key))
    candidates = select(*index.key, whole).join_from(found, index.parent, same)
    return candidates.offset(rows(0)).subquery("read")


def _said(vector: ColumnElement[Any], word: ColumnElement[Any]) -> ColumnElement[float]:
    """How often a row has a word, without unnesting all of its others, which takes far longer.

    The rank of a single word, where all its places weigh the same, is the part of the sum of
    1/i^2 over all i that the places 1 to n have (calc_rank_or in PostgreSQL's tsrank.c). What is
    left of the sum is 1/(n + 1/2), so nearly that to round it gives n. A test counts to 256, the
    most places that a tsvector keeps.
    """
    alike = cast(constant("{1,1,1,1}"), ARRAY(REAL))
    rank = cast(func.ts_rank(alike, vector, word), Float)
    left = constant(math.pi**2 / 6) * (constant(1) - rank)
    return func.round(constant(1) / left - constant(0.5), type_=Float())


def _words(index: FullTextIndex, text: ColumnElement[str]) -> tuple[CTE, ...]:
    """Select the text's words, how many rows hold each, and in the last step what it is worth."""
    positions = column("positions", ARRAY(SmallInteger))
    columns = column("lexeme", Text), positions, column("weights", ARRAY(Text))
    asked = func.unnest(index.lexemes(text)).table_valued(*columns).render_derived("asked")
    said = func.coalesce(func.cardinality(asked.c.positions), constant(1))
    word = select(asked.c.lexeme, said.label("said"), _only(asked.c.lexeme).label("query"))
    words = word.cte("asked_words").prefix_with("MATERIALIZED")
    common, n = _common(index), size_of(index.parent)
    holding = select(constant(1)).select_from(index.parent).where(index.matches(words.c.query))
    counted = select(func.count()).select_from(
        holding.limit(rows(COMMON + 1)).correlate(words).subquery()
    )
    known = func.round(common.c.frequency * n)
    df = func.coalesce(known, counted.correlate(words).scalar_subquery(), type_=Float())
    held = (
        select(words, df.label("df"))
        .select_from(words.outerjoin(common, common.c.lexeme == words.c.lexeme))
        .cte("held")
        .prefix_with("MATERIALIZED")
    )
    half, holding_it = constant(0.5), held.c.df
    without_it = func.greatest(n, holding_it) - holding_it
    rarity = func.ln(constant(1) + (without_it + half) / (holding_it + half))
    worth = (held.c.said * rarity).label("worth")
    weighed = select(held, worth).where(holding_it > constant(0))
    return words, held, weighed.cte("words").prefix_with("MATERIALIZED")


def _found(
    index: FullTextIndex, words: CTE, where: Sequence[ColumnElement[bool]], limit: int
) -> CTE:
    """Select the keys of the rows that hold the rarest of the words."""
    holds = (
        select(*index.key)
        .where(index.matches(words.c.query), *index.conditions, *where)
        .limit(rows(COMMON))
        .correlate(words)
        .lateral("holds")
    )
    rarest = select(func.min(words.c.df)).scalar_subquery()
    finding = or_(words.c.df <= constant(COMMON), words.c.df == rarest)
    key = [holds.c[each.key] for each in index.key]
    likely = func.sum(words.c.worth).desc()
    found = select(*key).join_from(words, holds, finding).group_by(*key).order_by(likely, *key)
    return found.limit(rows(limit + CANDIDATES)).cte("found").prefix_with("MATERIALIZED")


def _only(lexeme: ColumnElement[str]) -> ColumnElement[Any]:
    """Return the query for one lexeme, whatever characters it has (manual, 8.11.2 tsquery)."""
    escaped = lexeme
    for character in ("\\", "'"):
        escaped = func.replace(escaped, constant(character), constant(character * 2))
    return cast(constant("'").concat(escaped).concat(constant("'")), TSQUERY)


_NAMESPACE = table("pg_namespace", column("oid", OID), column("nspname"), schema="pg_catalog")
_STATS = table(
    "pg_stats",
    *map(column, ("schemaname", "tablename", "attname", "most_common_elems")),
    column("most_common_elem_freqs"),
    schema="pg_catalog",
)


def _common(index: FullTextIndex) -> CTE:
    """Select the most common words, and in which part of the rows each is."""
    attribute = index.stored
    holder = str(index.name) if attribute is None else index.parent.name
    place = (
        select(_NAMESPACE.c.nspname, CLASS.c.relname)
        .join_from(CLASS, _NAMESPACE, _NAMESPACE.c.oid == CLASS.c.relnamespace)
        .where(CLASS.c.oid == oid_of(holder, index.parent.schema))
    )
    elements = cast(cast(_STATS.c.most_common_elems, Text), ARRAY(Text))
    each = func.unnest(elements, _STATS.c.most_common_elem_freqs)
    common = each.table_valued(column("lexeme", Text), column("frequency", Float))
    pairs = common.render_derived("common")
    of_index = tuple_(_STATS.c.schemaname, _STATS.c.tablename).in_(place)
    of_column = true() if attribute is None else _STATS.c.attname == constant(attribute)
    found = select(pairs.c.lexeme, cast(pairs.c.frequency, Float).label("frequency"))
    found = found.join_from(_STATS, pairs, pairs.c.lexeme.is_not(None)).where(of_index, of_column)
    return found.cte("common_words").prefix_with("MATERIALIZED")


def _average_length(index: FullTextIndex) -> ColumnElement[float]:
    """How many words a row has, by a sample of pages that is the same each time."""
    percent = func.least(
        constant(100), constant(100 * _SAMPLED) / func.nullif(size_of(index.parent), constant(0))
    )
    sample = tablesample(index.parent, func.system(percent), "sampled", constant(0))
    vector = ClauseAdapter(sample).traverse(index.vector)
    length = select(func.avg(func.length(vector), type_=Float()))
    return length.select_from(sample).scalar_subquery()
