"""Tables that declare whom to tell of changes have the triggers that do; others are left alone."""

from typing import Any

from alembic.autogenerate import comparators
from alembic.autogenerate.api import AutogenContext
from alembic.operations.ops import ModifyTableOps
from alembic.util import DispatchPriority, PriorityDispatchResult
from sqlalchemy import Table

from pgmodern.autogenerate.catalogue import Trigger
from pgmodern.autogenerate.comparison import of
from pgmodern.operations.by_hand import ByHand
from pgmodern.operations.change_notification import (
    CreateChangeNotification,
    DropChangeNotification,
    read_source,
)

KEY = "change_notification"
"""The key of a table's `info`: the key columns, or `{"keys": [...], "channel": ...}`."""


def compare(
    context: AutogenContext,
    operations: ModifyTableOps,
    schema: str | None,
    table_name: str,
    existing: Table | None,
    declared: Table | None,
) -> PriorityDispatchResult:
    """Create what is missing, replace what differs, and drop what goes with its table."""
    triggers = of(context).catalogue.triggers.get((schema, table_name), {})
    if declared is None:
        _drop_with_table(operations, table_name, schema, triggers)
    elif KEY in declared.info:
        wanted = CreateChangeNotification(table_name, *_given(declared.info[KEY]), schema)
        there = [triggers[name] for name in wanted.triggers if name in triggers]
        kept = [each for each in there if each.is_enabled and each.source == wanted.source]
        if existing is None or len(kept) < len(wanted.triggers):
            sources = {each.source for each in there}
            held = read_source(table_name, sources.pop(), schema) if len(sources) == 1 else None
            wanted.replaced = held
            operations.ops.append(wanted)
    return PriorityDispatchResult.CONTINUE


def _given(info: Any) -> tuple[list[str], str | None]:
    if isinstance(info, dict):
        return list(info["keys"]), info.get("channel")
    return list(info), None


def _drop_with_table(
    operations: ModifyTableOps, table_name: str, schema: str | None, triggers: dict[str, Trigger]
) -> None:
    ours = CreateChangeNotification(table_name, [], None, schema).triggers
    if not all(name in triggers for name in ours):
        return
    dropped = read_source(table_name, triggers[ours[0]].source, schema)
    if dropped is None:
        said = "the function of its notifications was changed by hand, and stays: drop it."
        operations.ops.append(ByHand(table_name, said, schema))
    else:
        operations.ops.append(DropChangeNotification(table_name, schema, dropped))


def register() -> None:
    """Have it run after Alembic's own comparison of a table."""
    comparators.dispatch_for("table", qualifier="postgresql", priority=DispatchPriority.LAST)(
        compare
    )
