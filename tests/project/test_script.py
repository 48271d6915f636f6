"""What script.py.mako writes is Python, says what was said, and is as ruff would have it."""

import ast
import tempfile
from pathlib import Path
from typing import Any

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pgmodern.project.new import REVISION
from pgmodern.project.script import docstring, imported, literal
from tests.conftest import ROOT
from tests.project.ruff import assert_ruff_accepts

ODD = 'it\'s a "quoted" \\ message, """thrice"""\nin two\tlines \x00 \ud800'
HOSTILE = st.text(st.sampled_from("\"'\\\n\r\t\0{}$%#<>.a é\ud800\u2028"), max_size=12)


def test_the_template_is_that_of_our_own_revisions() -> None:
    assert (ROOT / "alembic" / REVISION.name).read_bytes() == REVISION.read_bytes()


@pytest.fixture
def script(tmp_path: Path) -> ScriptDirectory:
    """A folder of revisions that are written by the template."""
    (tmp_path / "versions").mkdir()
    (tmp_path / REVISION.name).write_bytes(REVISION.read_bytes())
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"imports": "", "upgrades": 'op.drop_table("a")', "downgrades": "pass"},
        {"imports": None, "upgrades": 'sa.text("op.x")', "downgrades": 'op.f("sa.x")'},
        {
            "imports": "from sqlalchemy.dialects import postgresql\n"
            "from pgmodern.types import Vector\nfrom pgmodern.types import Bit\n"
            "import pgvector.vector\nimport unused",
            "upgrades": "op.f(sa.Text(), postgresql.TSVECTOR(), pgvector.vector)\n"
            "    # as it was\n    pgvector.x",
            "downgrades": "op.f(Vector(dim=3), Bit(3), pgmodern.types.HalfVector(dim=3))",
        },
    ],
)
@pytest.mark.parametrize("message", ["add products", ODD, None])
def test_a_revision_is_as_ruff_would_have_it(
    script: ScriptDirectory, tmp_path: Path, message: str | None, given: dict[str, Any]
) -> None:
    first = script.generate_revision("a1", message, branch_labels=["shop"], **given)
    second = script.generate_revision("a2", message, depends_on="a1", **given)
    assert first is not None
    assert second is not None
    assert (second.down_revision, first.branch_labels) == ("a1", {"shop"})
    assert_ruff_accepts(tmp_path)


@settings(max_examples=10, deadline=None)
@given(st.lists(HOSTILE, min_size=20))
@example(["", '"', '"""', '""""', "'", "\\", 'a"', "it's", "Why?", "Done.", ODD])
def test_any_message_is_a_docstring_that_says_it(messages: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, message in enumerate(messages):
            path = Path(folder, f"m{number}.py")
            path.write_text(f"{docstring(message)}\n")
            said = ast.get_docstring(ast.parse(path.read_text()), clean=False)
            assert said is not None
            assert said.rstrip(".") == " ".join(message.split()).rstrip(".")
        assert_ruff_accepts(Path(folder))


@given(st.none() | HOSTILE | st.tuples(HOSTILE) | st.lists(HOSTILE))
def test_a_literal_is_what_it_was(value: object) -> None:
    assert ast.literal_eval(literal(value)) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "None"),
        ("a1", '"a1"'),
        (("a1", "it's"), """('a1', "it's")"""),
        (("a1", "b2"), '("a1", "b2")'),
    ],
)
def test_a_literal_is_in_double_quotes_where_that_is_simple(value: object, written: str) -> None:
    assert literal(value) == written


def test_an_import_is_written_once_and_only_where_it_is_used() -> None:
    asked = "import a.x\nimport a.y\nfrom m import low, Cap\nfrom m import TOP\nimport q as sa"
    body = "a.x(low, Cap, TOP, sa.Text())"
    assert imported(asked, body) == (
        "import a.x\nimport a.y\nimport q as sa\nfrom m import TOP, Cap, low"
    )
    assert imported(asked, None, "pass") == ""
