"""Runs SQLAlchemy's own tests of a dialect, over an engine of ours or over its own.

A run of its own, by `python -m tools.dialect_suite`: SQLAlchemy's plugin for pytest decides what is
collected. PGMODERN_ENGINE says `ours` or `stock`.
"""

import os
from typing import Any

import pytest
import sqlalchemy
import sqlalchemy.ext.asyncio
from sqlalchemy import URL, Engine, make_url

import pgmodern.engine

pytest.register_assert_rewrite("sqlalchemy.testing.assertions")

from sqlalchemy.testing.plugin.pytestplugin import *  # noqa: E402, F403


def _create_engine(url: URL | str, **options: Any) -> Engine:
    driver = make_url(url).get_driver_name()
    if driver in {"psycopg_async", "asyncpg"}:
        return pgmodern.engine.create_async_engine(url, **options).sync_engine
    return pgmodern.engine.create_engine(url, **options)


if os.environ["PGMODERN_ENGINE"] == "ours":
    sqlalchemy.create_engine = _create_engine
    sqlalchemy.ext.asyncio.create_async_engine = pgmodern.engine.create_async_engine
