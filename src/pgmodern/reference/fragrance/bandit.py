"""Thompson sampling: what is likely to please is chosen often, what is hardly known is tried."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pgmodern.queries.text import storable
from pgmodern.reference.fragrance import statements
from pgmodern.repositories.repository import AsyncRepository, Repository


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


def _known(found: Iterable[Any]) -> dict[str, Belief]:
    return {belief.algorithm: belief for belief in (Belief(*each) for each in found)}


def _rewarded(context: str, algorithm: str, successes: float, failures: float) -> dict[str, Any]:
    for number in (successes, failures):
        if not (math.isfinite(number) and number >= 0):
            raise ValueError(f"a reward is finite and at least 0: {number}")
    given = {"context": storable(context), "algorithm": storable(algorithm)}
    return {**given, "successes": successes, "failures": failures}


class AlgorithmPerformanceRepository(Repository):
    """A bandit: which algorithm to recommend by, learnt from what pleased."""

    def beliefs(self, context: str = "default") -> dict[str, Belief]:
        """Return what is known of each algorithm in a context."""
        given = {"context": storable(context)}
        return _known(self._fetch(statements.beliefs(), given))

    def choose(
        self,
        context: str,
        algorithms: Sequence[str],
        chance: np.random.Generator | None = None,
    ) -> str:
        """Return one of the algorithms by Thompson sampling: the better known, the likelier."""
        return drawn(self.beliefs(context), algorithms, chance)

    def reward(
        self, context: str, algorithm: str, successes: float = 1.0, failures: float = 0.0
    ) -> Belief:
        """Add what pleased and what did not, atomically; return what is known then."""
        given = _rewarded(context, algorithm, successes, failures)
        return Belief(*self._execute(statements.reward(), given).one())


class AsyncAlgorithmPerformanceRepository(AsyncRepository):
    """The asynchronous twin of AlgorithmPerformanceRepository."""

    async def beliefs(self, context: str = "default") -> dict[str, Belief]:
        """Return what is known of each algorithm in a context."""
        given = {"context": storable(context)}
        return _known(await self._fetch(statements.beliefs(), given))

    async def choose(
        self,
        context: str,
        algorithms: Sequence[str],
        chance: np.random.Generator | None = None,
    ) -> str:
        """Return one of the algorithms by Thompson sampling: the better known, the likelier."""
        return drawn(await self.beliefs(context), algorithms, chance)

    async def reward(
        self, context: str, algorithm: str, successes: float = 1.0, failures: float = 0.0
    ) -> Belief:
        """Add what pleased and what did not, atomically; return what is known then."""
        given = _rewarded(context, algorithm, successes, failures)
        return Belief(*(await self._execute(statements.reward(), given)).one())
