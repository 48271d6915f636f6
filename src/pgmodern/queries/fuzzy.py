"""Typo-tolerant search: trigram similarity above descending thresholds, in one statement."""

from collections.abc import Sequence

from sqlalchemy import (
    ColumnElement,
    Float,
    Integer,
    Text,
    case,
    cast,
    column,
    func,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY

from pgmodern.indexes import TrigramIndex
from pgmodern.indexes.declared import constant
from pgmodern.queries.statement import Statement, after_setting, rows
from pgmodern.queries.text import Typed, sought

_FLOOR = 0.2
_BROKEN = "{4,6,8}"
_BROKEN_IF_SHORT = "{3,4,8}"
_SHORT = 8
_SLACK = 0.001


def thresholds(text: ColumnElement[str]) -> Statement:
    """Select the similarities to try for a text, highest first, down to a floor of 0.2.

    Each is what a text keeps when so many of its n trigrams are broken and replaced. One letter
    that is wrong breaks three, so (n - 3) / (n + 3) of them remain in common; two letters swapped
    break four, two edits up to eight. A high threshold lets GIN skip nearly all of its lists, so
    the common case, one typo in a text of some length, costs about a millisecond. In a text of
    few trigrams a threshold that allows a swap lets thousands of texts pass: it is not the first.
    """
    count = func.cardinality(func.show_trgm(text)).label("n")
    counted = select(count).offset(rows(0)).subquery("counted")
    n = counted.c.n
    few, many = constant(_BROKEN_IF_SHORT), constant(_BROKEN)
    numbers = cast(case((n <= constant(_SHORT), few), else_=many), ARRAY(Integer))
    unnested = func.unnest(func.array_append(numbers, n))
    broken = unnested.table_valued(column("count", Integer)).render_derived("broken")
    b = broken.c.count
    kept = cast(n - b, Float) / (n + b) - constant(_SLACK)
    threshold = func.greatest(kept, constant(_FLOOR), type_=Float).label("threshold")
    each = counted.join(broken, true())
    return (
        select(threshold)
        .distinct()
        .select_from(each)
        .where(n > constant(0))
        .order_by(threshold.desc())
    )


def fuzzy(
    index: TrigramIndex, text: Typed, limit: int = 10, *, where: Sequence[ColumnElement[bool]] = ()
) -> Statement:
    """Select the rows most alike the text: key and score, the best first.

    A lower threshold is tried only when the one above it found nothing. So what is returned is
    every row (up to `limit`) as close as the text's own number of edits allows, and no filler.
    """
    asked = sought(text)
    descending = thresholds(asked).subquery("descending")
    setting = cast(descending.c.threshold, Text)
    tuned = after_setting(asked, {"pg_trgm.similarity_threshold": setting}).label("text")
    threshold = descending.c.threshold
    tried = select(threshold, tuned).order_by(threshold.desc()).subquery("tried")
    score = index.likeness(asked).label("score")
    near = (
        select(*index.key, score)
        .where(index.matches(tried.c.text), *index.conditions, *where)
        .order_by(score.desc(), *index.key)
        .limit(rows(limit))
        .correlate(tried)
        .subquery("near")
    )
    # One row of arrays for each threshold, so that LIMIT ends the trying at the first that is not
    # empty: only then does PostgreSQL ask for the next threshold, and so for the next scan.
    found = select(*(func.array_agg(c).label(c.key) for c in near.c))
    best = found.correlate(tried).lateral("best")
    first = (
        select(best)
        .join_from(tried, best, best.c.score.is_not(None))
        .order_by(tried.c.threshold.desc())
        .limit(rows(1))
        .subquery("first")
    )
    hit = func.unnest(*first.c).table_valued(*near.c).render_derived("hit")
    key = [hit.c[c.key] for c in index.key]
    return (
        select(*key, hit.c.score).join_from(first, hit, true()).order_by(hit.c.score.desc(), *key)
    )
