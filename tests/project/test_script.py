"""What script.py.mako writes is Python, says what was said, and is as ruff would have it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgmodern.project.new import TEMPLATES
from pgmodern.project.script import docstring, imported, literal
from tests.conftest import ROOT

RUFF = [sys.executable, "-m", "ruff"]
RULES = ["--isolated", "--no-cache", "--select", "E4,E7,E9,F,I"]
ODD = "it's a \"quoted\" \\ message, \"\"\"thrice\"\"\"\nin two lines\ttabbed \x00"
HOSTILE = st.text(st.sampled_from("\"'\\\n\r\t\0{}$%#<>.a é\ud800\u2028"), max_size=12)


def assert_ruff_accepts(*paths: Path) -> None:
    for command in (["check", *RULES], ["format", "--isolated", "--no-cache", "--diff"]):
        done = subprocess.run(
            [*RUFF, *command, *paths], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_template_is_that_of_our_own_revisions() -> None:
    template = TEMPLATES / "alembic" / "script.py.mako"
    assert (ROOT / "alembic" / "script.py.mako").read_bytes() == template.read_bytes()


@pytest.fixture
def script(tmp_path: Path) -> ScriptDirectory:
    """A folder of revisions with the template."""
    (tmp_path / "versions").mkdir()
    template = (TEMPLATES / "alembic" / "script.py.mako").read_text()
    (tmp_path / "script.py.mako").write_text(template)
    config = Config()
    config.set_main_option("script_location", str(tmp_path))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


@pytest.mark.parametrize("message", ["add products", ODD, '"', '"""', "'", "\\", "", "Why?", None])
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"imports": "", "upgrades": "op.drop_table('a')", "downgrades": "op.f('sa.x')"},
        {"upgrades": 'op.add_column("a", sa.Column("b", sa.Text()))', "downgrades": "pass"},
        {
            "imports": "from sqlalchemy.dialects import postgresql\nimport numpy\nimport a.b as c",
            "upgrades": "op.execute(sa.text(numpy.x, postgresql.TSVECTOR(), c.d))",
            "downgrades": "op.add_column(pgmodern.types.Vector(dim=3))",
        },
    ],
)
def test_a_revision_is_as_ruff_would_have_it(
    script: ScriptDirectory, message: str | None, body: dict[str, str]
) -> None:
    parsed = {"downgrades": "pass", **body}
    if "f(" in parsed["downgrades"]:
        parsed["downgrades"] = parsed["downgrades"].replace("'", '"')
        parsed["upgrades"] = parsed["upgrades"].replace("'", '"')
    written = script.generate_revision("a1", message, **parsed)
    assert written is not None
    assert_ruff_accepts(Path(written.path))
