"""Progress of long work."""

import io
import logging

import pytest
from rich.console import Console

from pgmodern import progress as module
from pgmodern.progress import progress


def _plain() -> Console:
    return Console(file=io.StringIO())


def _terminal() -> tuple[Console, io.StringIO]:
    shown = io.StringIO()
    return Console(file=shown, force_terminal=True, width=100), shown


def test_without_a_terminal_the_end_is_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pgmodern"), progress("tracks", 3_000, _plain()) as advance:
        advance(1_000)
        advance(500)
    (line,) = caplog.messages
    assert line.startswith("tracks: 1,500 in ")


@pytest.mark.parametrize(
    ("total", "expected"), [(3_000, "tracks: 1,000 of about 3,000"), (None, "tracks: 1,000")]
)
def test_without_a_terminal_long_work_says_where_it_is(
    total: int | None,
    expected: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_EVERY_SECONDS", 0.0)
    with caplog.at_level(logging.INFO, "pgmodern"), progress("tracks", total, _plain()) as advance:
        advance(1_000)
        assert caplog.messages == [expected]


def test_short_work_says_nothing_on_the_way(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "pgmodern"), progress("tracks", 2, _plain()) as advance:
        advance(1)
        assert caplog.messages == []


@pytest.mark.quick
@pytest.mark.parametrize("total", [7, 9, 5, 0, None])
def test_on_a_terminal_the_bar_ends_full_whatever_was_estimated(total: int | None) -> None:
    console, shown = _terminal()
    with progress("tracks", total, console) as advance:
        advance(3)
        advance(4)
    assert "tracks" in shown.getvalue()
    assert "7/7" in shown.getvalue()


@pytest.mark.quick
def test_what_goes_wrong_inside_is_not_swallowed_nor_called_done(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(console: Console) -> None:
        with progress("tracks", 3, console) as advance:
            advance(1)
            raise LookupError

    with caplog.at_level(logging.INFO, "pgmodern"), pytest.raises(LookupError):
        fail(_plain())
    assert caplog.messages == []
    console, shown = _terminal()
    with pytest.raises(LookupError):
        fail(console)
    assert "1/3" in shown.getvalue()
    assert "1/1" not in shown.getvalue()
