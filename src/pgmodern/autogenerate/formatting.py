"""Python code as formatters write it: double quotes, and one argument a line where it is long."""

import ast
from collections.abc import Iterator, Sequence
from textwrap import wrap

WIDTH = 84  # of 88, in a function


def formatted(code: str) -> str:
    """Return statements formatted; what is a comment stays as it is."""
    if code.startswith("#"):
        return code
    return "\n".join(_statement(each) for each in ast.parse(code).body)


def comment(text: str) -> str:
    """Return a text as lines of comments."""
    return "\n".join(f"# {line}" for line in wrap(text, WIDTH - 2, break_long_words=False))


def _statement(node: ast.stmt) -> str:
    return _laid_out(node.value, 0, 0) if isinstance(node, ast.Expr) else ast.unparse(node)


def _laid_out(node: ast.expr, indent: int, taken: int) -> str:
    """Return an expression that starts at an indent, on a line of which some is taken already."""
    line = _line(node)
    if indent + taken + len(line) <= WIDTH:
        return line
    opening, parts, closing = _parts(node)
    if not parts:
        return line
    inner = indent + 4
    lines = [
        f"{' ' * inner}{prefix}{_laid_out(part, inner, len(prefix) + 1)}," for prefix, part in parts
    ]
    return "\n".join([opening, *lines, f"{' ' * indent}{closing}"])


Parts = Sequence[tuple[str, ast.expr]]


def _parts(node: ast.expr) -> tuple[str, Parts, str]:
    """Return what an expression opens with, what it holds, each with a prefix, and its end."""
    match node:
        case ast.Call():
            return f"{_line(node.func)}(", list(_arguments(node)), ")"
        case ast.List():
            return "[", [("", each) for each in node.elts], "]"
        case ast.Tuple():
            return "(", [("", each) for each in node.elts], ")"
        case ast.Dict():
            keys = (f"{_line(key)}: " if key is not None else "**" for key in node.keys)
            return "{", list(zip(keys, node.values, strict=True)), "}"
        case _:
            return "", [], ""


def _arguments(node: ast.Call) -> Iterator[tuple[str, ast.expr]]:
    yield from (("", each) for each in node.args)
    yield from (
        (f"{each.arg}=" if each.arg is not None else "**", each.value) for each in node.keywords
    )


def _line(node: ast.expr) -> str:
    """Return an expression on one line."""
    match node:
        case ast.Constant(value=str() as value):
            return _string(value)
        case ast.Attribute():
            return f"{_line(node.value)}.{node.attr}"
        case ast.Starred():
            return f"*{_line(node.value)}"
        case ast.Tuple(elts=[only]):
            return f"({_line(only)},)"
        case ast.Call() | ast.List() | ast.Tuple() | ast.Dict():
            opening, parts, closing = _parts(node)
            return opening + ", ".join(f"{prefix}{_line(each)}" for prefix, each in parts) + closing
        case _:
            return ast.unparse(node)


def _string(value: str) -> str:
    """Return a string literal; in double quotes, unless that takes more escapes."""
    written = repr(value)
    if written[0] == '"' or value.count('"') > value.count("'"):
        return written
    inner = written[1:-1].replace("\\'", "'").replace('"', '\\"')
    return f'"{inner}"'
