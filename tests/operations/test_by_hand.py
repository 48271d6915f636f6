"""What no operation changes is a comment in the revision, and nothing else."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgmodern.operations.by_hand import ByHand


def test_it_does_nothing(
    database: psycopg.Connection,
    apply: Callable[[Callable[[Any], object]], None],
    script: Callable[[Callable[[Any], object]], str],
) -> None:
    operation = ByHand("songs", "settle it.")
    apply(lambda op: op.invoke(operation))
    assert "songs" not in script(lambda op: op.invoke(operation))
    assert operation.reverse() is operation


@pytest.mark.parametrize(
    "name", ["songs", 'it\'s "odd"', "a\nraise ValueError", "a\r\nb\rraise ValueError", "a\x0cb"]
)
def test_whatever_its_name_it_is_a_comment(
    render: Callable[[Any], str], database: psycopg.Connection, name: str
) -> None:
    rendered = render(ByHand(name, "settle it."))
    assert rendered.startswith("# ")
    assert rendered.endswith(": settle it.")
    assert "\n" not in rendered
    exec(rendered)
