"""Code is laid out as ruff has it, and says what it said."""

import ast
import keyword
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pgmodern.autogenerate.formatting import WIDTH, comment, formatted
from tests.autogenerate.conftest import unformatted

NAMES = st.text("abcxyz_", min_size=1, max_size=30).filter(lambda name: not keyword.iskeyword(name))
LEAVES = st.one_of(
    st.text(max_size=60).map(repr), st.integers(0, 99).map(str), st.sampled_from(["None", "True"])
)


def several(of: st.SearchStrategy[str]) -> st.SearchStrategy[list[str]]:
    """Return lists of expressions."""
    return st.lists(of, max_size=5)


def nested(of: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Return calls, lists, tuples and dictionaries of expressions."""
    calls = st.builds(
        lambda name, given, named: f"sa.{name}({', '.join([*given, *named])})",
        NAMES,
        several(of),
        st.dictionaries(NAMES, of, max_size=3).map(lambda d: [f"{k}={v}" for k, v in d.items()]),
    )
    lists = several(of).map(lambda each: f"[{', '.join(each)}]")
    tuples = several(of).map(lambda each: f"({''.join(f'{one}, ' for one in each)})")
    dictionaries = st.dictionaries(NAMES, of, max_size=4).map(
        lambda d: "{" + ", ".join(f"{k!r}: {v}" for k, v in d.items()) + "}"
    )
    return st.one_of(calls, lists, tuples, dictionaries)


CALLS = st.builds(
    lambda name, given: f"op.{name}({', '.join(given)})",
    NAMES,
    several(st.recursive(LEAVES, nested, max_leaves=15)),
)


@given(CALLS)
def test_what_is_laid_out_is_the_same_code(code: str) -> None:
    assert ast.dump(ast.parse(formatted(code))) == ast.dump(ast.parse(code))


@given(CALLS)
def test_a_line_is_too_long_only_where_nothing_can_be_parted(code: str) -> None:
    for line in formatted(code).splitlines():
        rest = line.strip().rstrip(",")
        is_leaf = not rest.endswith((")", "]", "}")) or rest in {")", "]", "}"}
        assert len(line) <= WIDTH + 1 or is_leaf or "'" in rest or '"' in rest


def test_ruff_has_nothing_to_change(tmp_path: Path) -> None:
    found: list[str] = []

    @given(CALLS)
    def collect(code: str) -> None:
        found.append(formatted(code))

    collect()
    bodies = "\n".join(found).replace("\n", "\n    ")
    imports = "import sqlalchemy as sa\nfrom alembic import op"
    path = tmp_path / "laid_out.py"
    path.write_text(f"{imports}\n\n\ndef upgrade():\n    {bodies}\n    sa\n    op\n")
    assert unformatted([path]) == ""


def test_a_comment_is_wrapped() -> None:
    lines = comment("word " * 60).splitlines()
    assert len(lines) > 3
    assert all(line.startswith("# word") and len(line) <= WIDTH for line in lines)
