"""How broadly an HNSW index must be searched for a recall: measured on the table itself."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sqlalchemy import BindParameter, Text, bindparam, func, select
from sqlalchemy.orm import Session

from pgmodern.errors import VectorError
from pgmodern.indexes import HnswIndex
from pgmodern.indexes.declared import constant
from pgmodern.indexes.hnsw import EF_SEARCH
from pgmodern.queries import nearest
from pgmodern.queries.statement import Statement, rows
from pgmodern.queries.statistics import oid_of
from pgmodern.quoting import quoted, string, verbatim
from pgmodern.types import Bit, SparseVector

_BREADTHS = (20, 30, 40, 60, 80, 100, 120, 160, 200, 280, 400, 560, 800, 1000)
_OVERSAMPLINGS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 100, 150, 200)
_MARK = "pgmodern: "

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Tuning:
    """How an index is to be searched, and what that was measured to give.

    `recall` is the part of the `k` nearest that is found, `milliseconds` the median of a search.
    """

    ef_search: int
    oversampling: int
    k: int
    recall: float
    milliseconds: float


def tune(
    session: Session,
    index: HnswIndex,
    target_recall: float = 0.95,
    *,
    k: int = 10,
    queries: int = 100,
    questions: Sequence[ArrayLike] = (),
    advance: Callable[[int], None] = lambda _: None,
) -> Tuning:
    """Find the cheapest search of an index that reaches a recall, use it from now on, and store it.

    So many vectors are asked for their neighbours: each by an exact scan of the table, and by the
    index, ever more broadly, until the mean recall is reached. What is found becomes the index's
    own `ef_search` and `oversampling` in this process, and is stored in the comment of the index,
    where `load` finds it. `advance` is told of every query that the exact scan has answered.
    COMMENT needs the index's owner, and locks it until the commit (SHARE UPDATE EXCLUSIVE).

    What is asked for are the `questions`, where there are any; else what lies halfway between two
    rows at random. The rows themselves are found too easily: each is a node of the graph, and its
    neighbours are linked to it. Of 176,081 real vectors a search by ef_search 20 finds 0.97 of
    the neighbours of rows, 0.82 of those of real questions, and 0.70 of those of such halfways.

    Raises VectorError when the table holds no vector, and when no breadth reaches the recall;
    then nothing is changed.
    """
    if not 0 < target_recall <= 1:
        raise ValueError(f"a recall is above 0 and at most 1: {target_recall}")
    asked = [index.operand.check(each) for each in questions] or _made_up(session, index, queries)
    if not asked:
        raise VectorError(f"{index.parent.name} holds no vector.", "Tune an index of a full table.")
    truth = []
    for vector in asked:
        truth.append(_keys(session, _exactly(index, k), vector))
        advance(1)
    best = None
    for ef_search, oversampling in _choices(index):
        way = nearest(index, _sought(index), k, ef_search=ef_search, oversampling=oversampling)
        recall, milliseconds = _measured(session, index, way, k, asked, truth)
        best = Tuning(ef_search, oversampling, k, recall, milliseconds)
        if recall >= target_recall:
            session.execute(verbatim(_stored(session, index, best)))
            _apply(index, best)
            return best
    assert best is not None
    raise VectorError(
        f"{index.name} reaches a recall of {best.recall:.3f}, not of {target_recall}.",
        "Build it with a higher m and ef_construction, hold more of each vector, or give "
        "questions of your own, if those are easier.",
    )


def load(session: Session, *indexes: HnswIndex) -> dict[str, Tuning]:
    """Use what `tune` stored for these indexes; return it by their names.

    For the start of an application. An index that nothing is stored for keeps what it was declared
    with.
    """
    found = {}
    for index in indexes:
        comment = _comment(session, index)
        lines = [line for line in comment.splitlines() if line.startswith(_MARK)]
        if lines:
            tuning = Tuning(**json.loads(lines[-1].removeprefix(_MARK)))
            _apply(index, tuning)
            found[str(index.name)] = tuning
    return found


def _apply(index: HnswIndex, tuning: Tuning) -> None:
    index.ef_search, index.oversampling = tuning.ef_search, tuning.oversampling


def _choices(index: HnswIndex) -> Iterator[tuple[int, int]]:
    """Return the breadths to try, the cheapest first; a coarse index is as broad as it must be."""
    if index.coarse:
        return ((EF_SEARCH, oversampling) for oversampling in _OVERSAMPLINGS)
    return ((breadth, index.oversampling) for breadth in _BREADTHS)


def _sought(index: HnswIndex) -> BindParameter[Any]:
    return bindparam("pgmodern_sought", type_=index.operand)


def _made_up(session: Session, index: HnswIndex, count: int) -> Sequence[Any]:
    if isinstance(index.operand, SparseVector | Bit):
        raise VectorError(
            f"Nothing lies halfway between two vectors of {index.name}.",
            "Pass questions: what your application asks for.",
        )
    rows_at_random = list(session.scalars(_some(index, count)))
    return halfways(rows_at_random, unit=index.metric == "cosine")


def _some(index: HnswIndex, count: int) -> Statement:
    held = select(index.vector).where(index.vector.is_not(None), *index.conditions)
    return held.order_by(func.random()).limit(rows(count))


def halfways(vectors: Sequence[Vectors], *, unit: bool) -> list[Vectors]:
    """Return what lies between each vector and the next; of one length, where that says nothing."""
    of_length = [each for each in np.asarray(vectors, np.float32) if each.any() or not unit]
    if unit:
        of_length = [each / np.linalg.norm(each) for each in of_length]
    pairs = zip(of_length, of_length[1:] + of_length[:1], strict=True)
    return [(one + other) / 2 for one, other in pairs]


def _exactly(index: HnswIndex, k: int) -> Statement:
    """Select the `k` nearest, with all that are as near as the last of them."""
    distance = index.exact_distance(_sought(index))
    held = select(*index.key).where(index.vector.is_not(None), *index.conditions)
    return held.order_by(distance).fetch(constant(k), with_ties=True)


Key = tuple[Any, ...]


def _keys(session: Session, way: Statement, vector: Any) -> set[Key]:
    found = session.execute(way, {"pgmodern_sought": vector}).all()
    return {tuple(row) for row in found}


def _measured(
    session: Session,
    index: HnswIndex,
    way: Statement,
    k: int,
    asked: Sequence[Any],
    truth: list[set[Key]],
) -> tuple[float, float]:
    """Return the mean recall and the median milliseconds."""
    hits, seconds, width = [], [], len(index.key)
    for vector, best in zip(asked, truth, strict=True):
        started = time.perf_counter()
        found = session.execute(way, {"pgmodern_sought": vector}).all()
        seconds.append(time.perf_counter() - started)
        right = sum(tuple(row[:width]) in best for row in found)
        hits.append(right / min(k, len(best)))
    return fmean(hits), median(seconds) * 1000


def _comment(session: Session, index: HnswIndex) -> str:
    """Return the comment of an index, empty where there is none."""
    oid = oid_of(str(index.name), index.parent.schema)
    return session.scalar(select(func.obj_description(oid, "pg_class", type_=Text))) or ""


def _name(index: HnswIndex) -> str:
    return quoted(str(index.name), index.parent.schema)


def _stored(session: Session, index: HnswIndex, tuning: Tuning) -> str:
    """Return the statement that adds the tuning to an index's comment, in place of an older one."""
    lines = [each for each in _comment(session, index).splitlines() if not each.startswith(_MARK)]
    lines.append(_MARK + json.dumps(asdict(tuning)))
    return f"COMMENT ON INDEX {_name(index)} IS {string(chr(10).join(lines))}"
