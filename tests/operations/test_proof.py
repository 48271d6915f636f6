"""The proof itself: it fails for an operation that a kill leaves half done."""

from dataclasses import replace
from typing import Any

import pytest

from tests.kills import SURVIVALS
from tests.operations.conftest import Proof

FILL = "INSERT INTO songs (title) VALUES ('a'), ('b')"


@pytest.fixture
def proof(proof: Proof) -> Proof:
    """The proof that kills before each statement, on any server."""
    return replace(proof, selection=replace(proof.selection, every_statement=True))


def add(op: Any) -> None:
    """A step that is not repeatable, as its two statements are two transactions."""
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE songs ADD year int")
        op.execute("ALTER TABLE songs ADD month int")


def drop(op: Any) -> None:
    """Its reverse."""
    op.execute("ALTER TABLE songs DROP year, DROP month")


def test_an_operation_that_is_not_repeatable_is_found(
    proof: Proof, request: pytest.FixtureRequest
) -> None:
    with pytest.raises(AssertionError, match=r'(?s)SIGKILL before.*"year".*terminate before'):
        proof("not repeatable", add, drop, fill=FILL)
    survival = request.config.stash[SURVIVALS].pop("not repeatable")
    assert 0 < survival.survived["SIGKILL"] < survival.statements["SIGKILL"]


def test_a_reverse_that_leaves_something_is_found(proof: Proof) -> None:
    with pytest.raises(AssertionError, match="month"):
        proof("half reversed", add, lambda op: op.execute("ALTER TABLE songs DROP year"))


def test_a_row_that_a_second_run_visits_again_is_found(
    proof: Proof, request: pytest.FixtureRequest
) -> None:
    def step(op: Any) -> None:
        with op.get_context().autocommit_block():
            op.execute("UPDATE songs SET title = title || '!'")
            op.execute("UPDATE songs SET album = 'done'")

    with pytest.raises(AssertionError, match="SIGKILL before"):
        proof("visits twice", step, fill=FILL)
    request.config.stash[SURVIVALS].pop("visits twice")
