"""What a bandit loses until it knows better."""

import itertools

import numpy as np
import pytest
from benchmarks.bandit import at_random, fits, regret

from pgmodern.reference.fragrance.bandit import Belief, drawn

ROUNDS, RUNS = 4_000, 40


def test_what_is_lost_grows_as_the_logarithm_of_the_rounds() -> None:
    regretted = regret(ROUNDS, RUNS)
    logarithmic, linear = fits(regretted)
    assert logarithmic > 0.98
    assert linear < 0.9
    for_each = [regretted[n - 1] / n for n in (30, 100, 300, 1_000, ROUNDS)]
    assert all(later < 0.7 * earlier for earlier, later in itertools.pairwise(for_each))


def test_one_who_never_learns_loses_as_much_each_round() -> None:
    logarithmic, linear = fits(regret(ROUNDS, 5, at_random))
    assert linear > 0.99
    assert logarithmic < 0.9


@pytest.mark.parametrize("known", [{}, {"a": Belief("a")}])
def test_what_is_as_good_is_chosen_as_often(known: dict[str, Belief]) -> None:
    chance = np.random.default_rng(3)
    chosen = [drawn(known, ["a", "b"], chance) for _ in range(1_000)]
    assert 420 < chosen.count("a") < 580
