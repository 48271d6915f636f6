"""Products are found, each time by the index that models.py declares for it."""

from collections.abc import Callable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import Product


def test_a_misspelt_name_finds_the_product(
    session: Session, assert_uses_index: Callable[..., None]
) -> None:
    session.add(Product(name="Headphones", details={"colour": "black"}))
    session.flush()
    similar = select(Product.name).where(Product.name_trgm.matches("hedphones"))

    def search() -> Sequence[str]:
        return session.scalars(similar).all()

    assert search() == ["Headphones"]
    # PostgreSQL reads a table of one row from end to end, so ask whether the index can.
    assert_uses_index(session, search, Product.name_trgm, enable_seqscan=False)
