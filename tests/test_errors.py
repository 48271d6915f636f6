"""The tree of errors."""

import inspect
import pickle
import re

import pytest

from pgmodern import errors
from pgmodern.errors import DocumentError, PgmodernError, VectorError

EVERY_ERROR = [
    each for _, each in inspect.getmembers(errors, inspect.isclass) if issubclass(each, Exception)
]


@pytest.mark.quick
def test_the_docstring_draws_the_whole_tree() -> None:
    drawn = re.findall(r"^ +(?:[├└]── )?(\w+)", inspect.getdoc(errors) or "", re.MULTILINE)
    assert set(drawn) == {each.__name__ for each in EVERY_ERROR}


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_an_error_says_its_cause_and_then_its_cure(error: type[PgmodernError]) -> None:
    raised = error("The cause.", "The cure.")
    assert isinstance(raised, PgmodernError)
    assert str(raised) == "The cause.\nThe cure."


@pytest.mark.parametrize("error", EVERY_ERROR)
def test_an_error_survives_the_way_between_processes(error: type[PgmodernError]) -> None:
    back = pickle.loads(pickle.dumps(error("The cause.", "The cure.")))
    assert type(back) is error
    assert (back.cause, back.cure) == ("The cause.", "The cure.")


@pytest.mark.parametrize("error", [VectorError, DocumentError])
def test_errors_about_an_argument_are_value_errors(error: type[PgmodernError]) -> None:
    assert issubclass(error, ValueError)
