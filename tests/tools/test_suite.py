"""The parts of the suite: in order, timed, and each failure is one of the whole."""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO

import pytest

from tools import suite
from tools.suite import Part

EMBEDDED = [
    "lint",
    *("coverage: erase", "tests, quick", "coverage: combine", "coverage: report"),
    "tests, embedded",
]

ELSEWHERE = ["dialect suite", "resolver", "other versions"]  # after the container's half

PASSES, FAILS = ([sys.executable, "-c", f"raise SystemExit({code})"] for code in (0, 3))
# In place of the container's half: it says something, and ends when it is interrupted.
CONTAINER = """
import sys, time
print("what the container's half says", flush=True)
try:
    time.sleep(float(sys.argv[1]))
except KeyboardInterrupt:
    sys.exit(2)
sys.exit(int(sys.argv[2]))
"""


@pytest.fixture
def failing() -> set[str]:
    """The names of the parts that fail."""
    return set()


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, failing: set[str]) -> list[str]:
    """Run commands that only pass or fail; return the names of those of the embedded half."""
    names: list[str] = []
    part = suite._part

    def passes_or_fails(name: str, _command: Sequence[str], output: IO[str] | None = None) -> Part:
        names.append(name)
        return part(name, FAILS if name in failing else PASSES, output)

    monkeypatch.setattr(suite, "_part", passes_or_fails)
    monkeypatch.setattr(suite, "REPORTS", tmp_path / ".suite")
    monkeypatch.setattr(suite, "docker_missing", lambda: None)
    container = [sys.executable, "-c", CONTAINER, "0.1", "0"]
    monkeypatch.setattr(suite, "_CONTAINER", container)
    return names


def test_every_part_is_run_and_the_table_tells_its_minutes(
    commands: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert suite.main([]) == 0
    assert sorted(commands) == sorted([*EMBEDDED, *ELSEWHERE])
    said = capfd.readouterr().out
    assert "what the container's half says" in said
    for name in [*EMBEDDED, "tests, container", *ELSEWHERE, "all"]:
        assert f"{name:<24}     0.0  0" in said


def test_without_docker_one_half_is_run_and_it_is_said(
    commands: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "docker_missing", lambda: "Docker does not answer")
    assert suite.main([]) == 0
    assert sorted(commands) == sorted([*EMBEDDED, *ELSEWHERE])
    said = capfd.readouterr().out
    assert "Docker does not answer" in said
    assert "tests, container" not in said


@pytest.mark.parametrize("part", [*EMBEDDED[1:], *ELSEWHERE])
def test_a_part_that_fails_fails_the_whole(
    part: str, commands: list[str], failing: set[str]
) -> None:
    failing.add(part)
    assert suite.main([]) == 1
    assert sorted(commands) == sorted([*EMBEDDED, *ELSEWHERE])


def test_the_container_s_half_can_fail_the_whole(
    commands: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "_CONTAINER", [sys.executable, "-c", CONTAINER, "0.1", "1"])
    assert suite.main([]) == 1


def test_what_fails_lint_is_not_tested(
    commands: list[str],
    failing: set[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    failing.add("lint")
    lint = suite._embedded

    def slow_lint(is_lint_clean: Future[bool]) -> list[Part]:
        time.sleep(0.5)  # so that the other half can be interrupted
        return lint(is_lint_clean)

    monkeypatch.setattr(suite, "_embedded", slow_lint)
    monkeypatch.setattr(suite, "_CONTAINER", [sys.executable, "-c", CONTAINER, "60", "0"])
    started = time.monotonic()
    assert suite.main([]) == 1
    assert time.monotonic() - started < 30
    assert commands == ["lint"]
    said = capfd.readouterr().out
    assert f"{'tests, container':<24}     0.0" in said
    assert f"{'tests, container':<24}     0.0  0" not in said


def test_a_part_is_a_command_with_its_seconds_and_its_exit_code() -> None:
    program = "import sys, time; time.sleep(0.2); sys.exit(3)"
    part = suite._part("program", [sys.executable, "-c", program])
    assert (part.name, part.exit_code) == ("program", 3)
    assert part.seconds >= 0.2


def test_half_of_the_container_s_tests_are_drawn_unless_all_are_asked_for(
    commands: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    tells = [sys.executable, "-c", "import sys; print('given', sys.argv[1:])"]
    monkeypatch.setattr(suite, "_CONTAINER", tells)
    assert suite.main([]) == 0
    assert "given ['--sample=2']" in capfd.readouterr().out
    assert suite.main(["--all"]) == 0
    assert "given []" in capfd.readouterr().out
    assert sorted(commands) == sorted([*EMBEDDED, *ELSEWHERE] * 2)
