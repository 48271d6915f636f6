"""A repository and its asynchronous twin are the same but for `async` and `await`."""

import ast
import importlib
from pathlib import Path
from typing import Any

import pytest

import pgmodern

PACKAGE = Path(pgmodern.__file__).parent
FILES = [
    *sorted((PACKAGE / "repositories").glob("*.py")),
    *sorted((PACKAGE / "reference").glob("*/*.py")),
]
# How each kind of session comes to psycopg's connection.
DRIVERS = {
    "self.session.connection().connection.driver_connection",
    "self.session.connection().get_raw_connection().driver_connection",
}

# How statements are executed in each kind of session is what they differ in.
DIFFERENT = {"Repository"}


class _Synchronous(ast.NodeTransformer):
    """Makes the synchronous twin of a class, without docstrings of classes."""

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        fields = {name: getattr(node, name) for name in node._fields}
        return self.generic_visit(ast.FunctionDef(**fields))

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        return self.generic_visit(ast.For(node.target, node.iter, node.body, node.orelse))

    def visit_AsyncWith(self, node: ast.AsyncWith) -> ast.AST:
        return self.visit_With(ast.With(node.items, node.body))

    def visit_With(self, node: ast.With) -> ast.AST:
        # `with` and `async with` nest where two of a kind are written as one.
        self.generic_visit(node)
        match node.body:
            case [ast.With(items, body)]:
                return ast.With(node.items + items, body)
        return node

    def visit_Await(self, node: ast.Await) -> ast.AST:
        awaited: ast.AST = self.visit(node.value)
        return awaited

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.Name(node.id.removeprefix("Async"), node.ctx)

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if ast.unparse(node) in DRIVERS:
            return ast.Name("driver_connection")
        return ast.Attribute(node.value, node.attr.removeprefix("Async"), node.ctx)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.generic_visit(node)
        node.name = node.name.removeprefix("Async")
        if ast.get_docstring(node):
            del node.body[0]
        return node


def _classes(file: Path) -> dict[str, ast.ClassDef]:
    tree = ast.parse(file.read_text())
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def _twins() -> list[Any]:
    return [
        pytest.param(classes[name], classes[f"Async{name}"], id=name)
        for classes in map(_classes, FILES)
        for name in classes
        if f"Async{name}" in classes and name not in DIFFERENT
    ]


@pytest.mark.parametrize(("one", "other"), _twins())
def test_twins_differ_in_async_and_await_alone(one: ast.ClassDef, other: ast.ClassDef) -> None:
    assert _written(one) == _written(other)


def _written(node: ast.ClassDef) -> str:
    return ast.unparse(ast.fix_missing_locations(_Synchronous().visit(node)))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_repository_is_without_its_twin(file: Path) -> None:
    names = {name for name in _classes(file) if name.endswith("Repository")}
    synchronous = {name for name in names if not name.startswith("Async")}
    assert names - synchronous == {f"Async{name}" for name in synchronous}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_a_twin_says_whose_it_is(file: Path) -> None:
    for name, node in _classes(file).items():
        if name.endswith("Repository") and name.startswith("Async"):
            other = name.removeprefix("Async")
            assert ast.get_docstring(node) == f"The asynchronous twin of {other}."


@pytest.mark.parametrize(
    "package",
    ["repositories", *(f"reference.{each}" for each in ("audio", "chat", "fragrance", "music"))],
)
def test_twins_are_exported_together(package: str) -> None:
    exported = importlib.import_module(f"pgmodern.{package}").__all__
    names = {name for name in exported if "Repository" in name}
    synchronous = {name for name in names if not name.startswith("Async")}
    assert names == synchronous | {f"Async{name}" for name in synchronous}


def test_no_twin_was_overlooked() -> None:
    found = {each.id for each in _twins()}
    assert {"SearchRepository", "DocumentRepository", "VectorRepository", "CountRepository"} < found
    assert {"BulkRepository", "QueueRepository", "FragranceRepository"} < found
    assert {"ArchiveRepository", "AIInteractionEmbeddingRepository"} < found
    assert {"InfluencerRepository", "ConversationRepository", "MessageRepository"} < found
    assert "SampleRepository" in found
