"""What a person typed, made fit to send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgmodern.queries.text import LONGEST, cleaned, words

anything = st.text(st.characters(exclude_categories=[]))


@given(anything)
def test_what_is_cleaned_can_be_sent_to_postgresql(text: str) -> None:
    sent = cleaned(text)
    assert "\x00" not in sent
    assert sent.encode().decode() == sent
    assert cleaned(sent) == sent


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_what_can_be_sent_is_left_as_it_is(text: str) -> None:
    assert cleaned(text) == text[:LONGEST].strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b", "a b"),
        ("a\ud800b", "a b"),
        ("\udfff", ""),
        ("\x00", ""),
        ("  a  ", "a"),
        ("é" * 10_000, "é" * LONGEST),
        ("", ""),
    ],
)
def test_what_cannot_be_sent_becomes_a_space_between_words(text: str, expected: str) -> None:
    assert cleaned(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't Stop", ["don", "t", "stop"]),
        ("AC/DC", ["ac", "dc"]),
        ("snake_case", ["snake", "case"]),
        ("Beyoncé 4", ["beyoncé", "4"]),
        ("雪 の", ["雪", "の"]),
        ("!?  _", []),
        ("", []),
    ],
)
def test_words_are_letters_and_digits_in_lower_case(text: str, expected: list[str]) -> None:
    assert words(text) == expected
