"""Paths along the edges that a table holds: as strong as the product of their weights."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ARRAY,
    CTE,
    ColumnElement,
    Double,
    Table,
    bindparam,
    cast,
    func,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array

from pgmodern.indexes.declared import constant
from pgmodern.queries.statement import Statement, distinct_on, rows

# A product below it is none: PostgreSQL raises an error where a double would become zero.
FAINTEST = 1e-300


@dataclass(frozen=True, slots=True)
class Graph:
    """Which edges a table holds: the columns from which, to which, of what kind, how strong.

    The weights are in 0..1. An index on `source` and `weight` descending serves every hop, one on
    `source` and `target` the last one to a given end.
    """

    table: Table
    source: str
    target: str
    kind: str
    weight: str


@dataclass(frozen=True, slots=True)
class Reach:
    """How far to go: so many hops, so many edges of each node, so many paths after each hop.

    The strongest go on each time. So at most `hops` x `breadth` x `fan_out` edges are followed,
    however large the graph is. Raises ValueError when there is nowhere to go.
    """

    hops: int = 3
    fan_out: int = 10
    breadth: int = 1_000

    def __post_init__(self) -> None:
        """Refuse what leads nowhere."""
        for number in (self.hops, self.fan_out, self.breadth):
            if number < 1:
                raise ValueError(f"hops, fan_out and breadth are at least 1: {self}")


def reachable(graph: Graph, reach: Reach, limit: int, *where: ColumnElement[bool]) -> Statement:
    """Select the strongest path to each node that can be reached, the strongest first.

    The parameters are `pgmodern_start`, a node, and `pgmodern_threshold`, the least product. The
    columns are `node`, `weight` (the product), `nodes` (from the start to the node) and `kinds`. No
    path comes to a node twice. `where` are conditions on the edges.
    """
    walk = _walk(graph, reach, reach.hops, *where)
    ways = (
        select(walk)
        .where(walk.c.hops > 0)
        .order_by(walk.c.node, walk.c.weight.desc(), walk.c.nodes, walk.c.kinds)
    )
    return _shown(distinct_on(ways, walk.c.node), limit)


def paths(graph: Graph, reach: Reach, limit: int, *where: ColumnElement[bool]) -> Statement:
    """Select the strongest paths to the parameter `pgmodern_end`; otherwise as `reachable`.

    The last hop is looked for among all edges, not only among the strongest of a node. From a node
    to itself there is no path.
    """
    start, end = _node(graph, "pgmodern_start"), _node(graph, "pgmodern_end")
    target = graph.table.c[graph.target]
    walk = _walk(graph, reach, reach.hops - 1, target != end, *where)
    return _shown(_further(graph, reach, walk, target == end, start != end, *where), limit)


def _node(graph: Graph, name: str) -> ColumnElement[Any]:
    return bindparam(name, type_=graph.table.c[graph.source].type)


def _walk(graph: Graph, reach: Reach, hops: int, *where: ColumnElement[bool]) -> CTE:
    """Go on from the paths of the hop before, which are all that a recursive step sees.

    It may not be cut off itself, but what it reads from may (manual, 7.8.2 Recursive Queries).
    """
    start, kinds = _node(graph, "pgmodern_start"), ARRAY(graph.table.c[graph.kind].type)
    walk = select(
        start.label("node"),
        constant(0).label("hops"),
        cast(constant(1), Double).label("weight"),
        array([start]).label("nodes"),
        cast(array([], type_=kinds.item_type), kinds).label("kinds"),
    ).cte("walk", recursive=True)
    strongest = walk.select().where(walk.c.hops < constant(hops)).order_by(walk.c.weight.desc())
    last = strongest.limit(rows(reach.breadth)).subquery("last")
    is_new = graph.table.c[graph.target] != func.all(last.c.nodes)
    return walk.union_all(_further(graph, reach, last, is_new, *where))


def _further(graph: Graph, reach: Reach, walk: Any, *where: ColumnElement[bool]) -> Statement:
    """Lengthen each path by the strongest edges that meet the conditions.

    Their weights are compared, not the product: by the index, and before a product is zero.
    """
    columns = graph.table.c
    source, target, kind, weight = (
        columns[name] for name in (graph.source, graph.target, graph.kind, graph.weight)
    )
    least = func.greatest(bindparam("pgmodern_threshold", type_=Double), FAINTEST, type_=Double)
    edge = (
        select(target.label("node"), kind.label("kind"), weight.label("weight"))
        .where(source == walk.c.node, weight >= least / walk.c.weight, *where)
        .order_by(weight.desc())
        .limit(rows(reach.fan_out))
        .lateral("edge")
    )
    return select(
        edge.c.node,
        (walk.c.hops + constant(1)).label("hops"),
        (walk.c.weight * edge.c.weight).label("weight"),
        func.array_append(walk.c.nodes, edge.c.node, type_=walk.c.nodes.type).label("nodes"),
        func.array_append(walk.c.kinds, edge.c.kind, type_=walk.c.kinds.type).label("kinds"),
    ).join_from(walk, edge, true())


def _shown(paths: Statement, limit: int) -> Statement:
    found = paths.subquery("found").c
    shown = select(found.node, found.weight, found.nodes, found.kinds)
    return shown.order_by(found.weight.desc(), found.nodes, found.kinds).limit(rows(limit))
