"""How an operation is written into a revision."""

from alembic.autogenerate.api import AutogenContext


def call(context: AutogenContext, directive: str, *given: object, **options: object) -> str:
    """Return the call of a directive; options that are None are left out."""
    prefix = context.opts["alembic_module_prefix"] if context.opts else "op."
    named = (f"{name}={value!r}" for name, value in options.items() if value is not None)
    return f"{prefix}{directive}({', '.join([*map(repr, given), *named])})"


class Code(str):
    """Python code, as `call` writes it."""

    __slots__ = ()
    __repr__ = str.__str__
