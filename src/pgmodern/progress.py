"""Progress of long work: a bar on a terminal, log lines elsewhere."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

log = logging.getLogger("pgmodern")
_EVERY_SECONDS = 5.0

Advance = Callable[[int], None]


@contextmanager
def progress(what: str, total: int | None, console: Console | None = None) -> Iterator[Advance]:
    """Yield a function to call with the number of items just done; `total` may be an estimate."""
    console = console or Console(stderr=True)
    if console.is_terminal:
        yield from _bar(what, total, console)
    else:
        yield from _lines(what, total)


def _bar(what: str, total: int | None, console: Console) -> Iterator[Advance]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
        finished = bar.tasks[0].completed
        bar.update(task, total=finished, completed=finished)


def _lines(what: str, total: int | None) -> Iterator[Advance]:
    done, started, said = 0, time.monotonic(), time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, said
        done += count
        if time.monotonic() - said >= _EVERY_SECONDS:
            said = time.monotonic()
            of = f" of about {total:,}" if total else ""
            log.info("%s: %s%s", what, f"{done:,}", of)

    yield advance
    log.info("%s: %s in %.1f s", what, f"{done:,}", time.monotonic() - started)
