"""The parts of the suite: in order, timed, and each failure is one of the whole."""

import sys
from pathlib import Path

import pytest

from tools import suite
from tools.suite import Part

BEFORE = ["lint", "coverage: erase", "tests, quick", "coverage: combine", "coverage: report"]
ALL = [*BEFORE, "tests, embedded", "tests, container"]


Ran = tuple[list[str], set[str]]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ran:
    """Run nothing: the names of the parts that would be run, and of those that are to fail."""
    names: list[str] = []
    failing: set[str] = set()

    def part(name: str, command: list[str], log: Path | None = None) -> Part:
        names.append(name)
        if log is not None:
            log.write_text("what the container's half says")
        return Part(name, 60.0, int(name in failing))

    monkeypatch.setattr(suite, "_part", part)
    monkeypatch.setattr(suite, "REPORTS", tmp_path / ".suite")
    monkeypatch.setattr(suite, "_docker_answers", lambda: True)
    return names, failing


def test_every_part_is_run_and_the_table_tells_its_minutes(
    ran: Ran, capsys: pytest.CaptureFixture[str]
) -> None:
    assert suite.main() == 0
    assert sorted(ran[0]) == sorted(ALL)
    said = capsys.readouterr().out
    assert "what the container's half says" in said
    for name in ALL:
        assert f"{name:<24}     1.0  0" in said
    assert "all  " in said


def test_without_docker_one_half_is_run_and_it_is_said(
    ran: Ran, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suite, "_docker_answers", lambda: False)
    assert suite.main() == 0
    assert "tests, container" not in ran[0]
    assert "Docker does not answer" in capsys.readouterr().out


@pytest.mark.parametrize("failing", ALL)
def test_a_part_that_fails_fails_the_whole(failing: str, ran: Ran) -> None:
    names, to_fail = ran
    to_fail.add(failing)
    assert suite.main() == 1
    # What fails in the first minutes is not worth the others.
    run = BEFORE[: BEFORE.index(failing) + 1] if failing in BEFORE else ALL
    assert sorted(names) == sorted(run)


def test_a_part_is_a_command_with_its_seconds_and_its_exit_code(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = "import sys, time; time.sleep(0.2); print('said'); sys.exit(3)"
    part = suite._part("program", [sys.executable, "-c", program], log)
    assert (part.name, part.exit_code) == ("program", 3)
    assert part.seconds >= 0.2
    assert log.read_text() == "said\n"
