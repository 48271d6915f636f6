# Generated from ../asynchronous/bandit.py by `make twins`: do not edit.
"""A bandit: which algorithm to recommend by, learnt from what pleased."""

from collections.abc import Sequence

import numpy as np

from pgmodern.queries.text import storable
from pgmodern.reference.fragrance import statements
from pgmodern.reference.fragrance.bandit import Belief, drawn, known_by_algorithm, rewarded
from pgmodern.repositories.repository import Repository


class AlgorithmPerformanceRepository(Repository):
    """A bandit: which algorithm to recommend by, learnt from what pleased."""

    def beliefs(self, context: str = "default") -> dict[str, Belief]:
        """Return what is known of each algorithm in a context."""
        given = {"context": storable(context)}
        return known_by_algorithm(self._fetch(statements.beliefs(), given))

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
        given = rewarded(context, algorithm, successes, failures)
        known = self._execute(statements.reward(), given)
        return Belief(*known.one())
