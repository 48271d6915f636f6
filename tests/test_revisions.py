"""What a revision's source says of how it runs."""

import ast
from textwrap import dedent

import pytest

from pgmodern.errors import MigrationError
from pgmodern.revisions import Call, Reading, kind, read

IMPORT = "from alembic import op\n"


def _read(source: str, function: str = "upgrade") -> Reading:
    return read(IMPORT + dedent(source), function)


def _names(calls: tuple[Call, ...]) -> set[str]:
    return {call.directive for call in calls}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def upgrade(): op.create_table('t')", {"create_table"}),
        ("def upgrade(): pass", set()),
        ("def downgrade(): op.drop_table('t')", set()),
        ("def upgrade():\n    with op.batch_alter_table('t') as b: pass", {"batch_alter_table"}),
        ("def upgrade():\n    for f in (op.execute, op.drop_column): f('x')",
         {"execute", "drop_column"}),
        ("def upgrade(): helper()\ndef helper(): op.execute('x')", {"execute"}),
        ("def upgrade(): list(map(helper, 'ab'))\ndef helper(x): op.execute(x)", {"execute"}),
        ("def upgrade(): a()\ndef a(): b()\ndef b(): a(); op.execute('x')", {"execute"}),
        ("def upgrade(): op.get_bind().execute('x'); op.get_context(); op.f('n')", set()),
        ("def upgrade():\n    def inner(): op.execute('x')\n    inner()", {"execute"}),
        ("def upgrade():\n    run = lambda: op.execute('x')\n    run()", {"execute"}),
        ("def upgrade(): other.execute('x')", set()),
        ("def unused(): op.execute('x')\ndef upgrade(): pass", set()),
    ],
)  # fmt: skip
def test_the_directives_that_a_function_calls_are_found(source: str, expected: set[str]) -> None:
    assert _names(_read(source).calls) == expected


def test_op_may_have_another_name() -> None:
    source = "from alembic import op as o\ndef upgrade(): o.execute('x'); op.drop_table('t')"
    assert _names(read(source, "upgrade").calls) == {"execute"}


def test_each_call_has_its_line() -> None:
    source = "\ndef upgrade():\n    op.execute('x')\n    op.create_index_online('i', 't', ['c'])\n"
    first, second = _read(source).calls
    assert (first.line, first.online) == (4, False)
    assert (second.line, second.online) == (5, True)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def upgrade(): op.execute('x')", "transactional"),
        ("def upgrade(): pass", "transactional"),
        ("def upgrade(): op.backfill_online('b', table='t', statement='')", "online"),
        ("def upgrade():\n    op.get_bind()\n    op.drop_index_online('i')", "online"),
        ("def upgrade():\n    with op.get_context().autocommit_block(): op.execute('x')",
         "by hand"),
    ],
)  # fmt: skip
def test_a_revision_is_of_one_kind(source: str, expected: str) -> None:
    assert kind(_read(source), "r1: upgrade()") == expected


def test_a_mixed_one_names_both_lines_and_the_cure() -> None:
    source = "def upgrade():\n    op.execute('x')\n    op.drop_index_online('i')\n"
    with pytest.raises(MigrationError) as raised:
        kind(_read(source), "r1: upgrade()")
    assert "Revision r1: upgrade() mixes op.drop_index_online (line 4)" in raised.value.cause
    assert "op.execute (line 3)" in raised.value.cause
    assert "Split it" in raised.value.cure
    assert kind(_read(source, "downgrade"), "r1: downgrade()") == "transactional"


def test_a_source_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed, parse = list[str](), ast.parse

    def counted(source: str) -> ast.Module:
        parsed.append(source)
        return parse(source)

    monkeypatch.setattr(ast, "parse", counted)
    reading = _read("def upgrade():\n    with op.get_context().autocommit_block(): pass")
    assert kind(reading, "r1: upgrade()") == "by hand"
    assert len(parsed) == 1
