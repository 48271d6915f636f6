"""What SQL text says at its surface."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgmodern.lint.sql import bare, folded
from pgmodern.quoting import quoted


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 'a''b', x", "SELECT  '' , x"),
        (r"SELECT E'it\'s', x", "SELECT  '' , x"),
        ("SELECT e'a''b', x", "SELECT  '' , x"),
        (r"SELECT '\', x", "SELECT  '' , x"),
        ("-- all of it\nSELECT", " '' \nSELECT"),
        ("/* a\nb */ SELECT", " ''  SELECT"),
        ("DO $do$ $x$ DROP $x$ $do$;", "DO  '' ;"),
        ("DO $$ DROP $$;", "DO  '' ;"),
        ('SELECT "it\'s", "--"', 'SELECT "it\'s", "--"'),
        ("SELECT $1, '$$', '--'", "SELECT $1,  '' ,  '' "),
    ],
)
def test_literals_are_emptied(sql: str, expected: str) -> None:
    assert bare(sql) == expected


@given(st.text(), st.sampled_from(["'{}'", "$a${}$a$", "--{}\n", '"{}"']))
def test_what_is_around_a_literal_stays(inner: str, around: str) -> None:
    for each in ("'", "$", '"', "\n", "\r"):
        inner = inner.replace(each, "")
    found = bare(f"BEFORE {around.format(inner)} AFTER")
    assert found.startswith("BEFORE ")
    assert found.endswith(" AFTER")
    assert found.count("'") in {0, 2}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Songs", "songs"),
        ('"Songs"', "Songs"),
        ("public.Songs", "songs"),
        ('"public" . songs', "songs"),
        ("App.Songs", "app.songs"),
        ('"a""b"', 'a"b'),
        ("public", "public"),
        ("über", "über"),
    ],
)
def test_names_are_as_the_catalogue_has_them(name: str, expected: str) -> None:
    assert folded(name) == expected


@given(st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1))
def test_a_quoted_name_is_itself(name: str) -> None:
    assert folded(quoted(name)) == name
