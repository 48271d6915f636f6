"""What goes in and comes out, whichever application answers."""

from typing import Annotated, Generic, TypeVar

from fastapi import Query
from pydantic import AfterValidator, BaseModel, Field, StringConstraints

from pgmodern.queries.text import LONGEST, words

R = TypeVar("R", bound=BaseModel)


class Results(BaseModel, Generic[R]):
    """What a search found, the best first."""

    query: str = Field(description="What was searched for, trimmed.", examples=["yelow submarine"])
    results: list[R]


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str


def _searchable(text: str) -> str:
    if "\x00" in text:
        raise ValueError("a NUL cannot be searched for")
    if not words(text):
        raise ValueError("at least one letter or digit is needed")
    return text


Text = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST),
    AfterValidator(_searchable),
]
Limit = Annotated[int, Query(ge=1, le=100, description="How many results at most.")]
