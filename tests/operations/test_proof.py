"""The proof itself: it fails for an operation that a kill leaves half done."""

from dataclasses import replace
from typing import Any

import pytest

from tests.operations.conftest import Proof

FILL = "INSERT INTO songs (title) VALUES ('a'), ('b')"


@pytest.fixture
def proof(proof: Proof) -> Proof:
    """The proof that kills before each statement, on any server, and is none of the summary."""
    selection = replace(proof.selection, every_statement=True)
    return replace(proof, selection=selection, record=lambda *_: None)


def add(op: Any) -> None:
    """A step that is not repeatable, as its two statements are two transactions."""
    with op.get_context().autocommit_block():
        op.execute("ALTER TABLE songs ADD year int")
        op.execute("ALTER TABLE songs ADD month int")


def drop(op: Any) -> None:
    """Its reverse."""
    op.execute("ALTER TABLE songs DROP year, DROP month")


def test_an_operation_that_is_not_repeatable_is_found(proof: Proof) -> None:
    recorded: list[str] = []
    proof = replace(proof, record=lambda _, value: recorded.append(str(value)))
    with pytest.raises(AssertionError, match=r'(?s)SIGKILL before.*"year".*terminate before'):
        proof("not repeatable", add, drop, fill=FILL)
    survived, _, kills = recorded[0].removeprefix("not repeatable: SIGKILL: ").partition(" of ")
    assert 0 < int(survived) < int(kills)


def test_a_reverse_that_leaves_something_is_found(proof: Proof) -> None:
    with pytest.raises(AssertionError, match="month"):
        proof("half reversed", add, lambda op: op.execute("ALTER TABLE songs DROP year"))


def test_a_row_that_a_second_run_visits_again_is_found(proof: Proof) -> None:
    def step(op: Any) -> None:
        with op.get_context().autocommit_block():
            op.execute("UPDATE songs SET title = title || '!'")
            op.execute("UPDATE songs SET album = 'done'")

    with pytest.raises(AssertionError, match="SIGKILL before"):
        proof("visits twice", step, fill=FILL)


def test_an_operation_of_fewer_statements_than_the_stride_is_killed_once(proof: Proof) -> None:
    recorded: list[str] = []
    selection = replace(proof.selection, every_statement=False, second_proof=True)
    proof = replace(proof, selection=selection, record=lambda _, value: recorded.append(str(value)))
    proof("short", lambda op: op.execute("ALTER TABLE songs ADD IF NOT EXISTS year int"))
    assert recorded == ["short: SIGKILL: 1 of 1", "short: terminate: 1 of 1"]
