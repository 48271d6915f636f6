"""How much is lost until a bandit knows which algorithm pleases: it should grow as log n."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Engine

from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report
from pgmodern.reference.fragrance.bandit import Belief, drawn

PLEASES = {"trending": 0.1, "content": 0.3, "collaborative": 0.5, "hybrid": 0.7}
ROUNDS, RUNS, SEED = 10_000, 100, 7
FROM = 30  # before that everything is tried

Losses = NDArray[np.float64]
Choose = Callable[[Mapping[str, Belief], Sequence[str], np.random.Generator], str]


def at_random(
    _known: Mapping[str, Belief], algorithms: Sequence[str], chance: np.random.Generator
) -> str:
    """Choose as one who never learns."""
    return algorithms[int(chance.integers(len(algorithms)))]


def regret(rounds: int, runs: int, choose: Choose = drawn, seed: int = SEED) -> Losses:
    """Return what was lost up to each round, beside always choosing the best; mean of the runs."""
    losses = np.array([_run(rounds, choose, seed + run) for run in range(runs)])
    mean: Losses = losses.mean(axis=0)
    return mean


def _run(rounds: int, choose: Choose, seed: int) -> Losses:
    chance, names, best = np.random.default_rng(seed), list(PLEASES), max(PLEASES.values())
    known = {name: Belief(name) for name in names}
    lost = np.empty(rounds)
    for number in range(rounds):
        name = choose(known, names, chance)
        pleased = float(chance.random() < PLEASES[name])
        before = known[name]
        known[name] = Belief(name, before.alpha + pleased, before.beta + 1 - pleased)
        lost[number] = best - PLEASES[name]
    total: Losses = lost.cumsum()
    return total


def fits(regretted: Losses) -> tuple[float, float]:
    """Return how well a line explains the regret (R squared): over log n, and over n."""
    rounds = np.geomspace(FROM, len(regretted), 50).astype(int)
    lost = regretted[rounds - 1]
    return _fit(np.log(rounds), lost), _fit(rounds.astype(float), lost)


def _fit(over: Losses, lost: Losses) -> float:
    correlation = np.corrcoef(over, lost)[0, 1]
    return float(correlation**2)


def ask(_engine: Engine, _dataset: Dataset) -> Report:
    """Let the bandit choose among algorithms of which it is known how often they please."""
    ours, random = regret(ROUNDS, RUNS), regret(ROUNDS, 10, at_random)
    logarithmic, linear = fits(ours)
    checked = (100, 1_000, ROUNDS)
    return Report(
        "bandit: what is lost beside always choosing the best",
        "at random",
        [
            *(Figure(f"after {n:,} rounds", ours[n - 1], "", random[n - 1]) for n in checked),
            Figure("R squared over log n", logarithmic, "", fits(random)[0], at_least=0.98),
            Figure("R squared over n", linear, "", fits(random)[1], at_most=0.9),
        ],
        [
            f"{len(PLEASES)} algorithms that please in {', '.join(map(str, PLEASES.values()))} of "
            f"all cases; the mean of {RUNS} runs, from round {FROM} on; seed {SEED}. What is "
            "chosen is chosen by the function that the repository chooses by.",
        ],
    )
