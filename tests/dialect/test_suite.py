"""SQLAlchemy's own tests of a dialect (`sqlalchemy.testing.suite`, in its wheel)."""

from sqlalchemy.testing.suite import *  # noqa: F403
