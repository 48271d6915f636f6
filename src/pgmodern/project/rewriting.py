"""An env.py is read from its source, and written as one that calls `environment.run()`."""

import ast
import builtins
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from pgmodern.environment import OPTIONS

# Imported to reach the database or to write the log, and not for what it declares.
_REPLACED = {*sys.stdlib_module_names, "alembic", "sqlalchemy"}
# What run() gives to context.configure() too, or what is Alembic's default.
_TAKEN = {
    "compare_type", "connection", "dialect_name", "dialect_opts", "downgrade_token",
    "literal_binds", "output_buffer", "target_metadata", "transaction_per_migration",
    "upgrade_token", "url",
}  # fmt: skip
# What Alembic's own templates say above the metadata.
_ALEMBIC_S = {
    "# for 'autogenerate' support",
    "# from myapp import mymodel",
    "# target_metadata = mymodel.Base.metadata",
}
_DEFAULTS = {"compare_type": "True"}
_DEFINITIONS = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_IMPORTERS = {"sys.path", "import_module", "importlib.import_module"}
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
    options = _options(tree)
    needed = [*([metadata] if metadata else []), *options.values()]
    written = _with_import(tree, _kept(tree, needed), text.split("\n"))
    expression = "Base.metadata" if metadata is None else ast.get_source_segment(text, metadata)
    written += ["", _UNKNOWN] if metadata is None else []
    given = [str(expression), *(f"{name}={ast.unparse(each)}" for name, each in options.items())]
    written += ["", f"environment.run({', '.join(given)})", ""]
    newline = "\r\n" if "\r\n" in source else "\n"
    return Rewritten(newline.join(written), tuple(_obstacles(tree, metadata, options)))


def _with_import(tree: ast.Module, kept: set[ast.stmt], lines: Sequence[str]) -> list[str]:
    """Return the lines of what is kept, with `environment` imported where Alembic was."""
    replaced = next((node for node in tree.body if _is_of_alembic(node)), None)
    previous = (tree.body[0].end_lineno or 0) if ast.get_docstring(tree) is not None else 0
    written = list(lines[:previous])
    if replaced is None:
        written += ["", _IMPORT] if written else [_IMPORT]
    for node in tree.body:
        first, last = _first_line(node, lines), node.end_lineno or node.lineno
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


def _options(tree: ast.Module) -> dict[str, ast.expr]:
    """Return what `run()` takes of what env.py gives to `context.configure()`.

    What is not known where `run()` is called, or said in two ways, is not among it.
    """
    known = set(dir(builtins)).union(*map(_bound, tree.body))
    found: dict[str, ast.expr] = {}
    doubtful = set[str]()
    for each in _configured(tree):
        if each.arg in OPTIONS and ast.unparse(each.value) != _DEFAULTS.get(each.arg):
            same = ast.unparse(found.get(each.arg, each.value)) == ast.unparse(each.value)
            if not (same and _loaded(each.value) <= known):
                doubtful.add(each.arg)
            found[each.arg] = each.value
    return {name: value for name, value in found.items() if name not in doubtful}


def _obstacles(
    tree: ast.Module, metadata: ast.expr | None, options: Collection[str]
) -> Iterator[str]:
    if metadata is None:
        yield (
            "It names no metadata: set target_metadata there to that of your models, for which "
            "app.models stands here."
        )
    given = {each.arg or f"**{ast.unparse(each.value)}" for each in _configured(tree)}
    given -= _TAKEN.union(options)
    if given:
        yield (
            f"It gives {', '.join(sorted(given))} to context.configure(), and run() does not: take "
            "that out where nothing is lost by it; else keep env.py as it is."
        )


def _kept(tree: ast.Module, expressions: Sequence[ast.expr]) -> set[ast.stmt]:
    """Return the statements that expressions need, and those that stand for their effect."""
    kept = set(_for_their_effect(tree))
    pending: list[ast.AST] = [*kept, *expressions]
    while pending:
        names = _loaded(pending.pop())
        needed = {node for node in tree.body if names & _bound(node)} - kept
        kept |= needed
        pending += needed
    return kept


def _for_their_effect(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield what declares tables or says where they are: imports, calls, changes of sys.path."""
    used = _loaded(tree)
    others = [node for node in tree.body if _is_of_others(node)]
    names = {name for node in others for name in _bound(node)}
    for node in tree.body:
        if node in others:
            if _is_dotted(node) or not _bound(node) & used:
                yield node
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            if _loaded(node.value.func) & names or _imports_modules(node):
                yield node
        elif not isinstance(node, _DEFINITIONS) and _imports_modules(node):
            yield node


def _is_of_others(node: ast.stmt) -> bool:
    """Tell whether a statement imports from elsewhere than what run() replaces."""
    modules = {(module or name).partition(".")[0] for module, name in _imported(node)}
    return bool(modules) and not modules & _REPLACED


def _is_dotted(node: ast.stmt) -> bool:
    return isinstance(node, ast.Import) and any("." in each.name for each in node.names)


def _imports_modules(node: ast.stmt) -> bool:
    return any(
        isinstance(each, ast.Attribute | ast.Name) and ast.unparse(each) in _IMPORTERS
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
    if isinstance(node, _DEFINITIONS):
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


def _first_line(node: ast.stmt, lines: Sequence[str]) -> int:
    """Return the number of a statement's first line, with decorators and comments above it."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(each.lineno for each in decorators)])
    while first > 1 and lines[first - 2].startswith("#") and lines[first - 2] not in _ALEMBIC_S:
        first -= 1
    return first
