"""An env.py is read from its source, and written as one that calls `environment.run()`."""

import ast
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# Imported to reach the database or to write the log, and not for what it declares.
_REPLACED = {*sys.stdlib_module_names, "alembic", "sqlalchemy"}
# What run() gives to context.configure() too, or what is Alembic's default.
_TAKEN = {
    "compare_type", "connection", "dialect_name", "dialect_opts", "downgrade_token",
    "literal_binds", "output_buffer", "target_metadata", "transaction_per_migration",
    "upgrade_token", "url",
}  # fmt: skip
_IMPORT = "from pgmodern import environment"
_UNKNOWN = "from app.models import Base"


@dataclass(frozen=True, slots=True)
class Rewritten:
    """An env.py that calls `run()`, and what has to be decided before it is put to use."""

    source: str
    obstacles: tuple[str, ...]


def runs(source: str) -> bool:
    """Tell whether an env.py has `pgmodern.environment` already."""
    return any(
        f"{module}.{name}".strip(".").startswith("pgmodern.environment")
        for node in ast.walk(ast.parse(source))
        for module, name in _imported(node)
    )


def is_of_several_databases(source: str) -> bool:
    """Tell whether an env.py has the metadata of several databases, by their names."""
    return isinstance(_metadata(ast.parse(source)), ast.Dict)


def rewritten(source: str) -> Rewritten:
    """Return an env.py that declares what its metadata needs and leaves all else to `run()`."""
    text = source.replace("\r\n", "\n")
    tree = ast.parse(text)
    metadata = _metadata(tree)
    written = _with_import(tree, _kept(tree, metadata), text.split("\n"))
    expression = "Base.metadata" if metadata is None else ast.get_source_segment(text, metadata)
    written += ["", _UNKNOWN] if metadata is None else []
    written += ["", f"environment.run({expression})", ""]
    newline = "\r\n" if "\r\n" in source else "\n"
    return Rewritten(newline.join(written), tuple(_obstacles(tree, metadata)))


def _with_import(tree: ast.Module, kept: set[ast.stmt], lines: Sequence[str]) -> list[str]:
    """Return the lines of what is kept, with `environment` imported where Alembic was."""
    replaced = next((node for node in tree.body if _is_of_alembic(node)), None)
    previous = (tree.body[0].end_lineno or 0) if ast.get_docstring(tree) is not None else 0
    written = list(lines[:previous])
    if replaced is None:
        written += ["", _IMPORT] if written else [_IMPORT]
    for node in tree.body:
        first, last = _first_line(node), node.end_lineno or node.lineno
        parts = [_IMPORT] if node is replaced else []
        parts += lines[first - 1 : last] if node in kept and first > previous else []
        if parts:
            parted = written and not all(map(str.strip, lines[previous : first - 1]))
            written += ["", *parts] if parted else parts
            previous = last
    return written


def _metadata(tree: ast.Module) -> ast.expr | None:
    """Return the expression that env.py has for its metadata; None where it has none yet."""
    found: ast.expr | None = None
    for node in tree.body:
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue
        if any(isinstance(each, ast.Name) and each.id == "target_metadata" for each in targets):
            found = node.value
    if found is None:
        given = (each.value for each in _configured(tree) if each.arg == "target_metadata")
        found = next(given, None)
    return None if isinstance(found, ast.Constant) else found


def _configured(tree: ast.Module) -> Iterator[ast.keyword]:
    """Yield what env.py gives to `context.configure()`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "context.configure":
            yield from node.keywords


def _obstacles(tree: ast.Module, metadata: ast.expr | None) -> Iterator[str]:
    if metadata is None:
        yield (
            "It names no metadata: set target_metadata there to that of your models, for which "
            "app.models stands here."
        )
    given = {each.arg or f"**{ast.unparse(each.value)}" for each in _configured(tree)} - _TAKEN
    if given:
        yield (
            f"It gives {', '.join(sorted(given))} to context.configure(), and run() does not: take "
            "that out where nothing is lost by it; else keep env.py as it is."
        )


def _kept(tree: ast.Module, metadata: ast.expr | None) -> set[ast.stmt]:
    """Return the statements that the metadata needs, and those that stand for their effect."""
    everywhere = _loaded(tree)
    kept = {node for node in tree.body if _is_for_its_effect(node, everywhere)}
    pending: list[ast.AST] = [*kept, *([metadata] if metadata else [])]
    while pending:
        names = _loaded(pending.pop())
        needed = {node for node in tree.body if names & _bound(node)} - kept
        kept |= needed
        pending += needed
    return kept


def _is_for_its_effect(node: ast.stmt, used: set[str]) -> bool:
    """Tell imports that declare tables, and what says where they are, from all other statements."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        modules = {
            module.partition(".")[0] or name.partition(".")[0] for module, name in _imported(node)
        }
        dotted = isinstance(node, ast.Import) and any("." in each.name for each in node.names)
        return not modules & _REPLACED and (dotted or not _bound(node) & used)
    is_definition = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    return not is_definition and any(
        isinstance(each, ast.Attribute) and ast.unparse(each) == "sys.path"
        for each in ast.walk(node)
    )


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the module and the name of each import; the module is empty for `import name`."""
    if isinstance(node, ast.Import):
        yield from (("", each.name) for each in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (("." * node.level + (node.module or ""), each.name) for each in node.names)


def _bound(node: ast.stmt) -> set[str]:
    """Return the names that a statement of a module binds there."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {node.name}
    names = set[str]()
    for each in ast.walk(node):
        if isinstance(each, ast.Import | ast.ImportFrom):
            names |= {alias.asname or alias.name.partition(".")[0] for alias in each.names}
        elif isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            names.add(each.id)
    return names


def _loaded(node: ast.AST) -> set[str]:
    return {
        each.id
        for each in ast.walk(node)
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
    }


def _is_of_alembic(node: ast.stmt) -> bool:
    return any("alembic" in (module, name) for module, name in _imported(node))


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(each.lineno for each in decorators)])
