"""A plugin of pytest that runs only the tests which a file names, a line each, as reports do."""

import os
from pathlib import Path

import pytest


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not named."""
    wanted = set(Path(os.environ["PGMODERN_ONLY"]).read_text().splitlines())
    config.hook.pytest_deselected(items=[item for item in items if _reported(item) not in wanted])
    items[:] = [item for item in items if _reported(item) in wanted]


def _reported(item: pytest.Item) -> str:
    path, *names = item.nodeid.split("::")
    return "::".join([".".join([path.removesuffix(".py"), *names[:-1]]), names[-1]])
