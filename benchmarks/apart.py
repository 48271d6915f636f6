"""A process of its own, for what memory it takes."""

import resource
from collections.abc import Callable
from multiprocessing.connection import Connection as Pipe
from typing import Any, TypeVar

from sqlalchemy import URL, Engine

from benchmarks.load import begun_apart
from pgmodern.engine import create_engine

R = TypeVar("R")


def apart(url: URL, way: Callable[..., R], *given: Any) -> tuple[R, float]:
    """Return what comes of it on an engine of its own, and the peak of resident memory in MB."""
    process, ours = begun_apart(_work, url, way, given)
    found, memory = ours.recv()
    process.join()
    return found, memory


def _work(url: URL, way: Callable[[Engine], Any], given: tuple[Any, ...], pipe: Pipe) -> None:
    engine = create_engine(url)
    found = way(engine, *given)
    engine.dispose()
    pipe.send((found, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3))
