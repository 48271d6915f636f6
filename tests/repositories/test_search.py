"""Search over a table of one's own."""

from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import dedent
from typing import Any

import pytest
from sqlalchemy import URL, Engine, Text, create_engine, event, insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.pool import NullPool

from pgmodern import repositories
from pgmodern.indexes import FullTextIndex, TrigramIndex
from pgmodern.repositories import AsyncSearchRepository, SearchRepository
from pgmodern.testing.databases import database


class Base(DeclarativeBase):
    """The metadata of this file."""


class Product(Base):
    """A table of an application."""

    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    name_trgm = TrigramIndex("ix_products_name", name)
    search = FullTextIndex("ix_products_search", [(name, "A")])


@dataclass(frozen=True, slots=True)
class ProductHit:
    """A product that a search found."""

    id: int
    name: str
    score: float
    highlight: str | None = None


class ProductRepository(SearchRepository[ProductHit]):
    row, payload = ProductHit, select(Product.id, Product.name)
    trigram, words = Product.name_trgm, Product.search


class AsyncProductRepository(AsyncSearchRepository[ProductHit]):
    row, payload = ProductHit, select(Product.id, Product.name)
    trigram, words = Product.name_trgm, Product.search


NAMES = ["Coffee Machine", "Coffee Mug", "Tea Mug", "Café Crème", "Umbrella"]


@pytest.fixture(scope="module")
def database_url(postgres_url: URL, template_database: str) -> Iterator[URL]:
    """A database with some products."""
    with database(postgres_url, template_database) as url:
        with create_engine(url, poolclass=NullPool).begin() as connection:
            Base.metadata.create_all(connection)
            rows = [{"id": number, "name": name} for number, name in enumerate(NAMES)]
            connection.execute(insert(Product), rows)
        yield url


def _names(hits: list[ProductHit]) -> list[str]:
    return [hit.name for hit in hits]


def test_each_search_finds_what_it_is_for(session: Session) -> None:
    products = ProductRepository(session)
    assert _names(products.fuzzy("cofee machin")) == ["Coffee Machine"]
    assert _names(products.full_text("mug -tea")) == ["Coffee Mug"]
    assert _names(products.search("coffee mug"))[0] == "Coffee Mug"
    assert _names(products.suggest("cof")) == ["Coffee Mug", "Coffee Machine"]


def test_rows_are_the_user_s_own_with_a_highlight_of_words_alone(session: Session) -> None:
    products = ProductRepository(session)
    (hit,) = products.full_text("creme")
    assert (hit.id, hit.name, hit.highlight) == (3, "Café Crème", "Café <b>Crème</b>")
    assert 0 < hit.score < 1
    assert products.fuzzy("Café Crème") == [ProductHit(3, "Café Crème", 1.0)]
    assert products.search("umbrella") == [ProductHit(4, "Umbrella", 1.0)]
    assert products.suggest("umbr") == [ProductHit(4, "Umbrella", 0.5)]


def test_a_row_may_be_anything_that_takes_the_columns(session: Session) -> None:
    class Names(SearchRepository[str]):
        row, payload = lambda name, score, *_: f"{name} {score:.1f}", select(Product.name)
        trigram, words = Product.name_trgm, Product.search

    assert Names(session).fuzzy("umbrela") == ["Umbrella 0.6"]
    assert Names(session).full_text("tea")[0].startswith("Tea Mug")


def test_the_example_in_the_documentation_works(session: Session) -> None:
    lines = (repositories.__doc__ or "").splitlines()
    example = dedent("\n".join(line for line in lines if line.startswith("    ")))
    assert example.startswith("class ProductRepository(")
    assert example.count("\n") == 2
    names: dict[str, Any] = dict(globals()) | {"SearchRepository": SearchRepository}
    exec(example, names)
    assert _names(names["ProductRepository"](session).fuzzy("umbrela")) == ["Umbrella"]


METHODS = ["fuzzy", "full_text", "search", "suggest"]
ASKED = ["coffee mug", "cofee", "mug", "", "nothing at all", "\x00", 'a"b', "-mug"]


@pytest.mark.parametrize("method", METHODS)
async def test_both_twins_answer_the_same(
    method: str, session: Session, async_session: AsyncSession
) -> None:
    products, others = ProductRepository(session), AsyncProductRepository(async_session)
    for asked in ASKED:
        for limit in (10, 1):
            answer = getattr(products, method)(asked, limit)
            assert await getattr(others, method)(asked, limit) == answer
            assert len(answer) <= limit


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("asked", ["coffee", "nothing at all", ""])
def test_each_read_is_one_statement(
    method: str, asked: str, session: Session, engine: Engine
) -> None:
    sent: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: sent.append(args[2]))
    getattr(ProductRepository(session), method)(asked)
    (statement,) = sent
    # Of longer ones psycopg does not keep what it made of their parameters.
    assert len(statement) <= 4096


def test_nothing_is_committed(session: Session) -> None:
    session.add(Product(id=99, name="Unfinished"))
    assert _names(ProductRepository(session).fuzzy("unfinished")) == ["Unfinished"]
    session.rollback()
    assert ProductRepository(session).fuzzy("unfinished") == []


def test_a_search_looks_deeper_than_it_shows(session: Session) -> None:
    shown = ProductRepository(session).search("coffee mug", 1)
    assert shown == ProductRepository(session).search("coffee mug", 50)[:1]
    assert ProductRepository(session).search("coffee mug", 0) == []
