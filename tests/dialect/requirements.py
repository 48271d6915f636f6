"""What a database can do, for SQLAlchemy's tests: they ask it for everything.

A feature that PostgreSQL lacks fails over both engines alike, and says nothing of either.
"""

from typing import Any

from sqlalchemy.testing import exclusions
from sqlalchemy.testing.requirements import SuiteRequirements


def _is_closed(rule: Any) -> bool:
    """Tell whether the tests leave a feature out unless a dialect says that it has it."""
    predicates = getattr(rule, "skips", ())
    return any(getattr(predicate, "value", False) is True for predicate in predicates)


class Requirements(SuiteRequirements):
    """Every feature that SQLAlchemy's tests know."""


_OPEN: Any = exclusions.open
for _name, _value in vars(SuiteRequirements).items():
    if isinstance(_value, property) and _is_closed(getattr(Requirements(), _name)):
        setattr(Requirements, _name, property(lambda _: _OPEN()))
