"""Packages that import a module when one of its names is asked for (PEP 562)."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def attributes(package: str, modules: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose names live in these modules.

    A name without a module is that of a submodule. Where a package that all need is missing, a
    program gets an error of ours, and a command of Alembic's, whose env.py asks, ends with it.
    """

    def get(name: str) -> Any:
        try:
            if name in modules:
                return getattr(import_module(modules[name]), name)
            return import_module(f"{package}.{name}")
        except ImportError as error:
            if error.name == f"{package}.{name}":
                raise AttributeError(f"module {package!r} has no attribute {name!r}") from None
            _explain(error)
            raise

    return get


def _explain(error: ImportError) -> None:
    # These are of no use to the rest, which is to be imported in no time.
    from pgmodern.requirements import explained  # noqa: PLC0415
    from pgmodern.terminal import is_alembic_command, leave  # noqa: PLC0415

    if (ours := explained(error)) is None:
        return
    if is_alembic_command():
        leave(ours)
    if ours is not error:
        raise ours from error
