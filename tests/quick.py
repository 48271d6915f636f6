"""The names that need a test marked `quick`, and the names that a test uses."""

import re
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType

import pytest
import typer
from alembic.operations import Operations

from pgmodern import cli, operations
from pgmodern.doctor import Kind
from pgmodern.lint import RULES
from tests.test_public_names import PUBLIC

FIXTURES = {
    *("postgres_url", "template_database", "empty_database_url", "database_url"),
    *("engine", "session", "async_engine", "async_session", "assert_uses_index"),
}
LISTS = {"test_public_names", "test_contract", "test_quick"}
_WORD = re.compile(r"[A-Za-z_][\w-]*")
_CALL = re.compile(r"([A-Za-z_]\w*)\(")


def required() -> Mapping[str, set[str]]:
    """Return the names that need a quick test, by what they are names of."""
    operations.register()
    command = typer.main.get_command(cli.app)
    return {
        "public name": {name for names in PUBLIC.values() for name in names},
        "type": set(PUBLIC["pgmodern.types"]),
        "operation": {name for name, method in vars(Operations).items() if _is_ours(method)},
        "query": set(PUBLIC["pgmodern.queries"]),
        "rule": {rule.name for rule in RULES},
        "check": {kind.value for kind in Kind},
        "command": set(getattr(command, "commands", {})),
        "fixture": FIXTURES,
    }


def _is_ours(method: object) -> bool:
    """Tell whether an attribute of Alembic's `op` was registered by pgmodern."""
    operation = getattr(method, "__globals__", {}).get("op_cls")
    return str(getattr(operation, "__module__", "")).startswith("pgmodern.")


def names_used(test: pytest.Function) -> set[str]:
    """Return the names in a test's id, in its code, and in what its code uses of the same file.

    That is its fixtures, functions, classes and constants there. Of a string that a test writes,
    such as a revision, the names that it calls count; a string of one word counts whole. Prose
    does not count, and no file that only lists names.
    """
    file = test.module.__name__
    if file.rpartition(".")[2] in LISTS:
        return set()
    fixtures = test._fixtureinfo.name2fixturedefs
    functions = [each.func for definitions in fixtures.values() for each in definitions]
    words = set(_WORD.findall(test.nodeid)) | set(fixtures)
    seen: set[CodeType] = set()
    for function in [test.function, *functions]:
        words |= set(_names(function, file, seen))
    parameters = test.callspec.params.values() if hasattr(test, "callspec") else ()
    return words | {value.__name__ for value in parameters if isinstance(value, type)}


def _names(function: object, file: str, seen: set[CodeType]) -> Iterator[str]:
    if not isinstance(function, FunctionType) or function.__module__ != file:
        return
    codes = [function.__code__]
    while codes:
        code = codes.pop()
        if code in seen:
            continue
        seen.add(code)
        yield from code.co_names
        for constant in code.co_consts:
            if isinstance(constant, CodeType):
                codes.append(constant)
            elif isinstance(constant, str):
                yield from _written(constant)
        for name in code.co_names:
            yield from _names_of(function.__globals__.get(name), file, seen)


def _names_of(value: object, file: str, seen: set[CodeType]) -> Iterator[str]:
    """Yield the names that a function, a class or a constant of a file uses."""
    yield from _names(value, file, seen)
    yield type(value).__name__
    if isinstance(value, str):
        yield from _written(value)
    elif isinstance(value, type):
        yield from (base.__name__ for base in value.__mro__)
        if value.__module__ == file:
            for method in vars(value).values():
                yield from _names(method, file, seen)
    elif isinstance(value, tuple | list):
        for element in value:
            yield from _names_of(element, file, seen)
    elif isinstance(value, dict):
        for element in [*value, *value.values()]:
            yield from _names_of(element, file, seen)


def _written(text: str) -> Iterator[str]:
    if _WORD.fullmatch(text):
        yield text
    yield from _CALL.findall(text)
