"""What `alembic check` shows of an operation."""

from typing import Any

import pytest

from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.check_constraint import (
    AddCheckConstraintOnline,
    ReplaceCheckConstraintOnline,
)
from pgmodern.operations.column_expression import SetColumnExpression
from pgmodern.operations.extension import UpdateExtension
from pgmodern.operations.foreign_key import AddForeignKeyOnline, ForeignKey
from pgmodern.operations.index import DropIndexOnline
from tests.operations.test_rendering import ALL

CHECK = AddCheckConstraintOnline("ck", "songs", "true", "music")


@pytest.mark.parametrize(
    ("operation", "shown"),
    [
        (UpdateExtension("vector", "0.8.0"), ("update_extension", "vector")),
        (CHECK, ("add_check_constraint_online", "music", "songs", "ck")),
        (
            ReplaceCheckConstraintOnline(CHECK),
            ("replace_check_constraint_online", "music", "songs", "ck"),
        ),
        (
            SetColumnExpression("songs", "loud", "upper(title)"),
            ("set_column_expression", "songs", "loud"),
        ),
        (DropIndexOnline("ix"), ("drop_index_online", "ix")),
        (
            AddForeignKeyOnline(ForeignKey("fk", "tracks", "artists", ["artist"], ["id"])),
            ("add_foreign_key_online", "tracks", "fk"),
        ),
        (ByHand("songs.id", "settle it.", "music"), ("by_hand", "songs.id", "music")),
    ],
)
def test_the_directive_is_shown_and_what_it_is_about(
    operation: Any, shown: tuple[str, ...]
) -> None:
    assert operation.to_diff_tuple() == shown


@pytest.mark.quick
@pytest.mark.parametrize("operation", ALL, ids=lambda each: type(each).__name__)
def test_each_shows_what_it_is_about(operation: Any) -> None:
    directive, *about = operation.to_diff_tuple()
    assert hasattr(type(operation), directive)
    assert about
