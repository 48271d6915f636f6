"""Typo-tolerant search: trigram similarity above descending thresholds, in one statement."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Text, exists, false, literal, select, union_all

from pgmodern.indexes import TrigramIndex
from pgmodern.queries.statement import Statement, rows, under
from pgmodern.queries.text import cleaned, words

_FLOOR = 0.2
_BROKEN = (4, 6, 8)
_BROKEN_IF_SHORT = (3, 4, 8)
_SHORT = 8
_SLACK = 0.001


def trigram_count(text: str) -> int:
    """Count a text's distinct trigrams as pg_trgm makes them: '  cat ' has 4."""
    padded = (f"  {word} " for word in words(text))
    return len({word[i : i + 3] for word in padded for i in range(len(word) - 2)})


def thresholds(text: str) -> tuple[float, ...]:
    """Return the similarities to try, highest first, down to a floor of 0.2.

    Each is what a text keeps when so many of its n trigrams are broken and replaced. One letter
    that is wrong breaks three, so (n - 3) / (n + 3) of them remain in common; two letters swapped
    break four, two edits up to eight. A high threshold lets GIN skip nearly all of its lists, so
    the common case, one typo in a text of some length, costs about a millisecond. In a text of
    few trigrams a threshold that allows a swap lets thousands of texts pass: it is not the first.
    """
    count = trigram_count(text)
    broken = _BROKEN if count > _SHORT else _BROKEN_IF_SHORT
    kept = ((count - b) / (count + b) - _SLACK for b in broken)
    return tuple(dict.fromkeys((*(max(_FLOOR, similarity) for similarity in kept), _FLOOR)))


def fuzzy(
    index: TrigramIndex, text: str, limit: int = 10, *, where: Sequence[ColumnElement[bool]] = ()
) -> Statement:
    """Select the rows most alike the text: key and score, the best first.

    A lower threshold is tried only when the one above it found nothing, so what is returned is
    every row (up to `limit`) as close as the text's own number of edits allows, and no filler.
    """
    text = cleaned(text)
    sought = literal(text, Text)
    score = index.likeness(sought).label("score")
    base = select(*index.key, score).where(*index.conditions, *where)
    if not trigram_count(text):
        base = base.where(false())
    legs: list[Any] = []
    for number, threshold in enumerate(thresholds(text)):
        near = index.matches(under(sought, pg_trgm__similarity_threshold=str(threshold)))
        unless_found = (~exists(select(literal(1)).select_from(leg)) for leg in legs)
        leg = base.where(near, *unless_found).order_by(score.desc(), *index.key)
        legs.append(leg.limit(rows(limit)).cte(f"leg_{number}").prefix_with("MATERIALIZED"))
    found = union_all(*(select(leg) for leg in legs)).subquery("found")
    return select(found).order_by(found.c.score.desc(), *(found.c[c.key] for c in index.key))
