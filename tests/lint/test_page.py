"""The page of the rules is what the rules say."""

from pathlib import Path

import pytest

from pgmodern.lint import RULES
from pgmodern.lint.page import MARK, page

PAGE = Path(__file__).parents[2] / "docs" / "lint.md"


def test_the_page_is_made_of_the_rules() -> None:
    written = PAGE.read_text()
    assert page(written) == written, "run: python -m pgmodern.lint.page docs/lint.md"


@pytest.mark.quick
def test_what_is_before_the_mark_stays_and_what_is_after_is_made_anew() -> None:
    made = page(f"# By hand\n\n{MARK}\nold")
    assert made.startswith(f"# By hand\n\n{MARK}\n")
    assert "old\n" not in made
    for rule in RULES:
        assert f"## {rule.name}\n\n{rule.why}\n" in made
        assert all(source in made for source in (*rule.bad, *rule.good))
