"""The plans that a test's statements are run by, as the server itself reports them."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session

MODES = ("force_custom_plan", "force_generic_plan")


@contextmanager
def reported(session: Session, mode: str, *, analyze: bool = False) -> Iterator[list[Any]]:
    """Collect the plans of what is executed, with `analyze` also what came of each part."""
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    for statement in (
        "LOAD 'auto_explain'",
        "SET LOCAL auto_explain.log_min_duration = 0",
        "SET LOCAL auto_explain.log_level = notice",
        "SET LOCAL auto_explain.log_format = json",
        f"SET LOCAL auto_explain.log_analyze = {analyze}",
        f"SET LOCAL plan_cache_mode = {mode}",
    ):
        session.execute(text(statement))
    plans: list[Any] = []

    def note(notice: psycopg.errors.Diagnostic) -> None:
        message = notice.message_primary or ""
        plans.append(json.loads(message[message.index("{") :])["Plan"])

    driver.add_notice_handler(note)
    try:
        yield plans
        session.execute(text("SHOW plan_cache_mode"))  # a plan is reported before what comes next
    finally:
        driver.remove_notice_handler(note)


def parts(plan: Any) -> Iterator[Any]:
    """Go through the nodes of a plan."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from parts(part)
