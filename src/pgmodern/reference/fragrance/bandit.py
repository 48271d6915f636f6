"""Thompson sampling: what is likely to please is chosen often, what is hardly known is tried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


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
