"""Thompson sampling: what is likely to please is chosen often, what is hardly known is tried."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgmodern.queries.text import storable


@dataclass(frozen=True, slots=True)
class Belief:
    """Beta(alpha, beta): what is known of an algorithm's probability to please."""

    algorithm: str
    alpha: float = 1.0
    beta: float = 1.0


def drawn(
    known: Mapping[str, Belief],
    algorithms: Sequence[str],
    chance: np.random.Generator | None = None,
) -> str:
    """Draw a probability for each algorithm and return the one that drew the highest."""
    chance = chance or np.random.default_rng()
    beliefs = [known.get(algorithm, Belief(algorithm)) for algorithm in algorithms]
    return max(beliefs, key=lambda each: chance.beta(each.alpha, each.beta)).algorithm


def known_by_algorithm(found: Iterable[Any]) -> dict[str, Belief]:
    """Return beliefs by the names of their algorithms."""
    return {belief.algorithm: belief for belief in (Belief(*each) for each in found)}


def rewarded(context: str, algorithm: str, successes: float, failures: float) -> dict[str, Any]:
    """Return the values of a reward; raises ValueError where it is negative or not finite."""
    for number in (successes, failures):
        if not (math.isfinite(number) and number >= 0):
            raise ValueError(f"a reward is finite and at least 0: {number}")
    given = {"context": storable(context), "algorithm": storable(algorithm)}
    return {**given, "successes": successes, "failures": failures}
