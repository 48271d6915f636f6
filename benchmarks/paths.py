"""How long it takes to find the strongest paths through very many relationships."""

import random
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from benchmarks.database import settle
from benchmarks.dataset import Dataset
from benchmarks.latency import Timed, timed
from benchmarks.report import Figure, Report
from pgmodern.queries import Reach
from pgmodern.reference.fragrance import FragranceRelationshipRepository, Path

FRAGRANCES, EDGES = 50_000, 1_000_000
QUERIES, BASELINE_QUERIES, SEED = 200, 20, 7
HOPS, BASELINE_HOPS = (1, 2, 3, 4, 6), 3
GOAL_MS = 100  # for what the defaults follow

Ends = tuple[uuid.UUID, uuid.UUID]

# As hubs have it: few fragrances are related to very many. The ids are 1, 2, 3, ...
LOAD = (
    """
    INSERT INTO fragrances (id, name, brand)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'Fragrance ' || n, 'Maison'
    FROM generate_series(1, :fragrances) AS n
    """,
    "SELECT setseed(0.7)",
    """
    INSERT INTO fragrance_relationships (fragrance_id, related_id, kind, weight)
    SELECT lpad(to_hex(a), 32, '0')::uuid, lpad(to_hex(b), 32, '0')::uuid, 'alike', random()
    FROM (
        SELECT DISTINCT 1 + floor(:fragrances * random() ^ 2)::int AS a,
            1 + floor(:fragrances * random() ^ 2)::int AS b
        FROM generate_series(1, :drawn)
    ) AS edge WHERE a <> b LIMIT :edges
    """,
)
# What is written where nobody thinks of the limits: all the ways, then the best of them.
EVERY_WAY = text("""
    WITH RECURSIVE walk AS (
        SELECT CAST(:start AS uuid) AS node, 0 AS hops, 1::float8 AS weight,
            ARRAY[CAST(:start AS uuid)] AS nodes
        UNION ALL
        SELECT edge.related_id, hops + 1, walk.weight * edge.weight, nodes || edge.related_id
        FROM walk JOIN fragrance_relationships AS edge ON edge.fragrance_id = walk.node
        WHERE hops < :hops AND edge.related_id <> ALL (nodes)
    )
    SELECT node, max(weight) FROM walk WHERE hops > 0 GROUP BY node ORDER BY 2 DESC LIMIT 10
""")


def load(engine: Engine) -> None:
    """Relate fragrances to each other, as by chance."""
    given = {"fragrances": FRAGRANCES, "edges": EDGES, "drawn": EDGES * 12 // 10}
    with engine.begin() as connection:
        for statement in LOAD:
            connection.execute(text(statement), given)
    settle(engine, "fragrances", "fragrance_relationships")


def ours(
    engine: Engine, ends: Sequence[Ends], hops: int, *, to_one: bool = False
) -> Timed[list[Path]]:
    """Search as an application does."""
    reach = Reach(hops)

    def call(session: Session, between: Ends) -> list[Path]:
        start, end = between
        paths = FragranceRelationshipRepository(session).paths
        return paths(start, end if to_one else None, reach=reach)

    return timed(engine, ends, call)


def every_way(engine: Engine, ends: Sequence[Ends], hops: int) -> Timed[list[Any]]:
    """Follow every edge."""

    def call(session: Session, between: Ends) -> list[Any]:
        return list(session.execute(EVERY_WAY, {"start": between[0], "hops": hops}))

    return timed(engine, ends, call)


def ask(engine: Engine, _dataset: Dataset) -> Report:
    """Look for the strongest paths from fragrances chosen at random, and between them."""
    load(engine)
    chance = random.Random(SEED)
    numbers = [
        (chance.randint(1, FRAGRANCES), chance.randint(1, FRAGRANCES)) for _ in range(QUERIES)
    ]
    ends = [(uuid.UUID(int=start), uuid.UUID(int=end)) for start, end in numbers]
    figures = []
    for hops in HOPS:
        found = ours(engine, ends, hops)
        base = every_way(engine, ends[:BASELINE_QUERIES], hops) if hops <= BASELINE_HOPS else None
        baseline = (base.p50, base.p95) if base else (None, None)
        name = f"to the best within {hops} hops"
        goal = GOAL_MS if hops == Reach().hops else None
        figures.append(Figure(f"{name}: p50", found.p50, "ms", baseline[0]))
        figures.append(Figure(f"{name}: p95", found.p95, "ms", baseline[1], at_most=goal))
        to_one = ours(engine, ends, hops, to_one=True)
        figures.append(Figure(f"to one within {hops} hops: p95", to_one.p95))
    return Report(
        f"paths: {EDGES:,} relationships of {FRAGRANCES:,} fragrances",
        "every edge followed",
        figures,
        [
            f"{QUERIES} starts and ends at random, {BASELINE_QUERIES} of the baseline; "
            f"{Reach()}, but for the hops; weights at random in 0..1; some fragrances are related "
            f"to very many; seed {SEED}. The baseline goes no further than {BASELINE_HOPS} hops: "
            "each multiplies its work by the mean number of edges."
        ],
    )
