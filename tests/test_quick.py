"""The quick tests: what is run before each commit leaves no public name out."""

import subprocess
import sys

import pytest

from tests import quick
from tests.conftest import ROOT

pytest_plugins = ["pytester"]

# Collects the quick tests and writes the names that they use.
PROGRAM = """
import sys
import pytest

class Names:
    def pytest_collection_finish(self, session):
        from tests import quick
        names = set().union(*(quick.names_used(test) for test in session.items))
        with open(sys.argv[1], "w") as file:
            file.write("\\n".join(names))

sys.exit(pytest.main(["--collect-only", "-q", "-m", "quick", "--postgres=embedded"], [Names()]))
"""


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names that quick tests use."""
    written = tmp_path_factory.mktemp("quick") / "names"
    command = [sys.executable, "-c", PROGRAM, str(written)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return set(written.read_text().splitlines())


@pytest.mark.parametrize(("kind", "names"), quick.required().items(), ids=list(quick.required()))
def test_every_name_has_a_quick_test(kind: str, names: set[str], used: set[str]) -> None:
    assert names, f"no {kind} is known"
    missing = sorted(names - used)
    assert not missing, f"mark a test of each {kind} with @pytest.mark.quick: {missing}"


def test_a_name_in_an_id_a_string_or_a_function_that_is_called_is_used(
    pytester: pytest.Pytester,
) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function")
    items, _ = pytester.inline_genitems(
        pytester.makepyfile(
            test_names="""
            import pytest
            WRITTEN = ("op.in_a_constant()",)

            def called(op):
                return lambda: op.in_what_is_called()

            @pytest.fixture
            def fixed():
                return dict(key="op.in_a_fixture()")

            @pytest.mark.parametrize("kind", ["in-an-id"])
            def test_it(kind, fixed):
                called(WRITTEN).in_the_code("op.in_a_string()")

            def other():
                return op.in_no_test
            """
        )
    )
    (test,) = items
    assert isinstance(test, pytest.Function)
    names = quick.names_used(test)
    assert {"in-an-id", "in_a_constant", "in_what_is_called", "in_a_fixture"} < names
    assert {"in_the_code", "in_a_string", "fixed"} < names
    assert "in_no_test" not in names
