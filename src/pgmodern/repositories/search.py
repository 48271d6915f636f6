"""The statements of a search by text."""

from functools import lru_cache
from typing import ClassVar

from sqlalchemy import Text, bindparam

from pgmodern.indexes import FullTextIndex, TrigramIndex
from pgmodern.queries import Leg, full_text, fuzzy, hybrid, suggest, with_payload
from pgmodern.queries.statement import Statement
from pgmodern.queries.text import cleaned, web_search
from pgmodern.repositories.repository import Values
from pgmodern.repositories.rows import R, Shown


class SearchStatements(Shown[R]):
    """The statements; `row` takes the columns of `payload`, the score, and maybe a highlight."""

    trigram: ClassVar[TrigramIndex]
    words: ClassVar[FullTextIndex]

    def _fuzzy(self, text: str, limit: int) -> tuple[Statement, Values]:
        return _fuzzy(self.payload, self.trigram, limit), _asked(text)

    def _full_text(self, text: str, limit: int) -> tuple[Statement, Values]:
        return _full_text(self.payload, self.words, limit), _words(text)

    def _search(self, text: str, limit: int) -> tuple[Statement, Values]:
        return _search(self.payload, self.words, self.trigram, limit), _both(text)

    def _suggest(self, prefix: str, limit: int) -> tuple[Statement, Values]:
        return _suggest(self.payload, self.trigram, limit), _asked(prefix)


def _asked(text: str) -> Values:
    return {"pgmodern_text": cleaned(text)}


def _words(text: str) -> Values:
    return {"pgmodern_words": web_search(text)}


def _both(text: str) -> Values:
    return {**_asked(text), **_words(text)}


# To build a statement can take longer than PostgreSQL takes to answer it. So each is built once,
# with parameters whose values come with the call.
_TEXT, _WORDS = bindparam("pgmodern_text", type_=Text), bindparam("pgmodern_words", type_=Text)


@lru_cache
def _fuzzy(payload: Statement, trigram: TrigramIndex, limit: int) -> Statement:
    return with_payload(payload, fuzzy(trigram, _TEXT, limit), trigram)


@lru_cache
def _full_text(payload: Statement, words: FullTextIndex, limit: int) -> Statement:
    shown = with_payload(payload, full_text(words, _WORDS, limit), words)
    return shown.add_columns(words.highlight(words.query(_WORDS)))


@lru_cache
def _search(
    payload: Statement, words: FullTextIndex, trigram: TrigramIndex, limit: int
) -> Statement:
    deep = max(limit, 50)
    legs = [Leg(full_text(words, _WORDS, deep)), Leg(fuzzy(trigram, _TEXT, deep))]
    return with_payload(payload, hybrid(words, legs, limit), words)


@lru_cache
def _suggest(payload: Statement, trigram: TrigramIndex, limit: int) -> Statement:
    return with_payload(payload, suggest(trigram, _TEXT, limit), trigram)
