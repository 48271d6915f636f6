"""Paths along weighted edges, against all that Python finds."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Double, Index, Text, insert, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from pgmodern.queries import Graph, Reach, paths, reachable
from pgmodern.queries.explain import indexes_used
from pgmodern.queries.paths import FAINTEST
from tests.plans import MODES, parts, reported


class Base(DeclarativeBase):
    """The metadata of this file."""


class Road(Base):
    """A road from one town to another; nothing keeps one from leading where it began."""

    __tablename__ = "roads"

    here: Mapped[int] = mapped_column(primary_key=True)
    there: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    weight: Mapped[float] = mapped_column(Double)

    best = Index("ix_roads_here_weight", here, weight.desc())


ROADS = Graph(Base.metadata.tables["roads"], "here", "there", "kind", "weight")
PRIMES = [n for n in range(2, 114) if all(n % d for d in range(2, n))]  # as many as edges
Edge = tuple[int, int, str, float]
Walk = tuple[int, float, list[int], list[str]]  # as a row: where it ends, weight, towns, kinds


@pytest.fixture
def roads(session: Session) -> Session:
    """A session that has the table."""
    Base.metadata.create_all(session.connection())
    return session


def _build(session: Session, edges: Sequence[Edge]) -> None:
    session.execute(text("TRUNCATE roads"))
    if edges:
        names = ("here", "there", "kind", "weight")
        session.execute(insert(Road), [dict(zip(names, edge, strict=True)) for edge in edges])


def _found(
    session: Session,
    reach: Reach,
    end: int | None = None,
    *,
    start: int = 0,
    threshold: float = 0,
    limit: int = 100,
    where: Sequence[Any] = (),
) -> list[Walk]:
    given = {"pgmodern_start": start, "pgmodern_threshold": threshold}
    if end is None:
        statement = reachable(ROADS, reach, limit, *where)
    else:
        statement, given["pgmodern_end"] = paths(ROADS, reach, limit, *where), end
    return [(a, b, list(c), list(d)) for a, b, c, d in session.execute(statement, given)]


# --- the model


def _longer(edges: Sequence[Edge], walk: Walk, fan_out: int, threshold: float) -> Iterator[Walk]:
    end, weight, towns, kinds = walk
    least = max(threshold, FAINTEST) / weight
    out = [e for e in edges if e[0] == end and e[3] >= least and e[1] not in towns]
    for _, there, kind, by in sorted(out, key=lambda e: -e[3])[:fan_out]:
        yield there, weight * by, [*towns, there], [*kinds, kind]


def _walks(edges: Sequence[Edge], reach: Reach, hops: int, threshold: float) -> Iterator[Walk]:
    last: list[Walk] = [(0, 1.0, [0], [])]
    for hop in range(hops + 1):
        yield from last
        best = sorted(last, key=lambda walk: -walk[1])[: reach.breadth]
        if hop < hops:
            last = [w for walk in best for w in _longer(edges, walk, reach.fan_out, threshold)]


def _ordered(walks: Sequence[Walk]) -> list[Walk]:
    return sorted(walks, key=lambda walk: (-walk[1], *walk[2:]))


def _to(edges: Sequence[Edge], reach: Reach, end: int, threshold: float) -> list[Walk]:
    elsewhere = [edge for edge in edges if edge[1] != end]
    there = [edge for edge in edges if edge[1] == end]
    walks = _walks(elsewhere, reach, reach.hops - 1, threshold) if end else []
    return _ordered([w for walk in walks for w in _longer(there, walk, reach.fan_out, threshold)])


def _anywhere(edges: Sequence[Edge], reach: Reach, threshold: float) -> list[Walk]:
    best: dict[int, Walk] = {}
    for walk in _ordered([w for w in _walks(edges, reach, reach.hops, threshold) if w[3]]):
        best.setdefault(walk[0], walk)
    return _ordered(list(best.values()))


_weights = st.one_of(
    st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.floats(0, 1), st.just(1e-200), st.just(5e-324)
)
_edges = st.dictionaries(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from("ab")), _weights, max_size=30
).map(lambda found: [(*edge, weight) for edge, weight in found.items()])
_often = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@_often
@given(
    edges=_edges,
    hops=st.integers(1, 6),
    end=st.one_of(st.none(), st.integers(0, 6)),
    threshold=st.sampled_from([0.0, 1e-9, 0.125, 0.25, 0.3, 1.0]),
)
@example(
    edges=[(0, 1, "a", 0.5), (1, 0, "a", 1.0), (1, 1, "a", 1.0), (1, 2, "a", 0.5)],
    hops=6,
    end=2,
    threshold=0.25,
)
@example(edges=[(0, 1, "a", 1e-200), (1, 2, "a", 1e-200)], hops=2, end=2, threshold=0.0)
@example(edges=[(0, 1, "a", 0.5), (1, 0, "a", 0.5), (0, 0, "a", 1.0)], hops=3, end=0, threshold=0.0)
def test_every_path_is_found_once_the_strongest_first(
    edges: list[Edge], hops: int, end: int | None, threshold: float, roads: Session
) -> None:
    _build(roads, edges)
    reach = Reach(hops, fan_out=60, breadth=100_000)
    found = _found(roads, reach, end, threshold=threshold, limit=100_000)
    assert found == (
        _anywhere(edges, reach, threshold) if end is None else _to(edges, reach, end, threshold)
    )


@_often
@given(
    edges=_edges,
    reach=st.builds(Reach, st.integers(1, 5), st.integers(1, 3), st.integers(1, 8)),
    end=st.one_of(st.none(), st.integers(1, 5)),
    limit=st.integers(0, 5),
)
def test_the_strongest_go_on_where_there_are_more_than_may(
    edges: list[Edge], reach: Reach, end: int | None, limit: int, roads: Session
) -> None:
    """No two weights and no two products are alike, so it is known which are the strongest."""
    edges = [(*edge[:3], 1 / math.sqrt(PRIMES[number])) for number, edge in enumerate(edges)]
    _build(roads, edges)
    found = _found(roads, reach, end, limit=limit)
    expected = _anywhere(edges, reach, 0) if end is None else _to(edges, reach, end, 0)
    assert found == expected[:limit]


# --- what it costs


def _country(session: Session, fan_out: int, towns: int) -> None:
    """Lead from each town to `fan_out` others, as if by chance; from 0 to all, from all to 1."""
    session.execute(
        text(
            "INSERT INTO roads SELECT here, there, 'a', max(weight) FROM ("
            " SELECT here, (here * 31 + n * n * 7 + 1) % :towns, 1 / (1 + n / 7.0)"
            " FROM generate_series(0, :towns - 1) AS here, generate_series(1, :fan_out) AS n"
            " UNION ALL SELECT 0, n, 0.1 FROM generate_series(0, :towns - 1) AS n"
            " UNION ALL SELECT n, 1, 0.1 FROM generate_series(0, :towns - 1) AS n"
            ") AS road (here, there, weight) WHERE here <> there GROUP BY here, there"
        ),
        {"fan_out": fan_out, "towns": towns},
    )
    session.execute(text("ANALYZE roads"))


def _read(plan: Any) -> int:
    """Count the edges that a plan reads, those included that it passes over."""
    scans = [part for part in parts(plan) if part.get("Relation Name") == "roads"]
    each = ("Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck")
    return sum(round(scan["Actual Loops"] * sum(scan.get(n, 0) for n in each)) for scan in scans)


BY_WEIGHT, BY_BOTH_ENDS = "ix_roads_here_weight", "roads_pkey"


@pytest.mark.parametrize(
    ("end", "indexes"),
    [(None, {BY_WEIGHT}), (1, {BY_WEIGHT, BY_BOTH_ENDS})],
    ids=["anywhere", "to one"],
)
@pytest.mark.parametrize("mode", MODES)
def test_only_the_strongest_edges_are_read_by_their_index(
    mode: str, end: int | None, indexes: set[str], roads: Session
) -> None:
    _country(roads, 40, 2_000)
    reach = Reach(hops=4, fan_out=4, breadth=20)
    with reported(roads, mode, analyze=True) as plans:
        assert _found(roads, reach, end)
    assert set(indexes_used(plans[0])) == indexes
    followed = reach.hops * reach.breadth * reach.fan_out
    # A hop passes over the towns that its path has been to, and over the end.
    passed_over = reach.hops * reach.breadth * (reach.hops + 1)
    assert 100 < _read(plans[0]) <= followed + passed_over + (followed if end else 0)


@pytest.mark.parametrize("mode", MODES)
def test_what_is_too_weak_is_not_gone_on_from(mode: str, roads: Session) -> None:
    _country(roads, 40, 2_000)
    with reported(roads, mode, analyze=True) as plans:
        weak = _found(roads, Reach(hops=4, fan_out=40), limit=100_000)
        strong = _found(roads, Reach(hops=4, fan_out=40), threshold=0.7, limit=100_000)
    assert strong == [walk for walk in weak if walk[1] >= 0.7]
    assert _read(plans[1]) * 20 < _read(plans[0])


@pytest.mark.quick
def test_conditions_hold_for_every_edge(roads: Session) -> None:
    _build(roads, [(0, 1, "a", 1), (1, 2, "b", 1), (0, 2, "a", 0.5), (0, 2, "b", 0.25)])
    only_a = [Road.kind == "a"]
    assert _found(roads, Reach(), 2, where=only_a) == [(2, 0.5, [0, 2], ["a"])]
    assert _found(roads, Reach(), where=only_a) == [
        (1, 1, [0, 1], ["a"]),
        (2, 0.5, [0, 2], ["a"]),
    ]
    assert [walk[3] for walk in _found(roads, Reach(), 2)] == [["a", "b"], ["a"], ["b"]]


@pytest.mark.quick
@pytest.mark.parametrize("part", ["hops", "fan_out", "breadth"])
def test_a_reach_that_leads_nowhere_is_refused(part: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        replace(Reach(), **{part: 0})
