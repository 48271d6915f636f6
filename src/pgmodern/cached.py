"""What a loader returned, kept in the process for a time and until somebody changes it."""

import asyncio
import json
import threading
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
F = TypeVar("F", bound=Future[Any] | asyncio.Future[Any])

# Where there is one, a clock that goes on while the machine sleeps.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _now() -> float:
    return time.clock_gettime(_CLOCK)


@dataclass(frozen=True, slots=True)
class _Load(Generic[F]):
    """A load, from its begin on: under way, or done and kept."""

    began: float
    future: F


class _Loads(Generic[K, F]):
    """The loads that may be answered from, the least recently asked first.

    One that is forgotten while it is under way still answers those who wait for it, and nobody
    who asks later.
    """

    def __init__(
        self, ttl: float, size: int, column: str | None, clock: Callable[[], float]
    ) -> None:
        if ttl <= 0 or size < 1:
            raise ValueError("A cache keeps at least one value for more than no time.")
        self._ttl, self._size, self._column, self._clock = ttl, size, column, clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Load[F]] = OrderedDict()

    def __len__(self) -> int:
        """Return how many loads there are, old ones included."""
        return len(self._kept)

    def join(self, key: K, begin: Callable[[], F]) -> tuple[F, bool]:
        """Return the load to wait for, and whether it is the caller's to do."""
        name = str(key)
        with self._lock:
            now = self._clock()
            load = self._kept.get(name)
            if load is not None and now - load.began < self._ttl:
                self._kept.move_to_end(name)
                return load.future, False
            future = begin()
            self._kept[name] = _Load(now, future)
            self._kept.move_to_end(name)
            if len(self._kept) > self._size:
                self._kept.popitem(last=False)
            return future, True

    def failed(self, key: K, future: F) -> None:
        """Forget a load, unless it is forgotten already, and perhaps another one begun."""
        with self._lock:
            load = self._kept.get(str(key))
            if load is not None and load.future is future:
                del self._kept[str(key)]

    def invalidate(self, *keys: K) -> None:
        """Load these keys anew when they are asked for next."""
        with self._lock:
            for key in keys:
                self._kept.pop(str(key), None)

    def clear(self) -> None:
        """Load every key anew when it is asked for next."""
        with self._lock:
            self._kept.clear()

    def notified(self, payload: str) -> None:
        """Invalidate the keys that a trigger of `op.create_change_notification` names, or all."""
        keys = _changed(payload, self._column)
        if keys is None:
            self.clear()
            return
        with self._lock:
            for key in keys:
                self._kept.pop(key, None)


def _changed(payload: str, column: str | None) -> list[str] | None:
    """Return the keys that a payload names, as text; None when it may be any."""
    try:
        keys = json.loads(payload)[column]
    except (ValueError, LookupError, TypeError):
        return None
    return keys if isinstance(keys, list) and all(isinstance(key, str) for key in keys) else None


class _Subscriber:
    """What both kinds of cache do alike."""

    _loads: _Loads[Any, Any]

    def __len__(self) -> int:
        """Return how many values are kept, some of them too old to be answered with."""
        return len(self._loads)

    def clear(self) -> None:
        """Load every key anew when it is asked for next."""
        self._loads.clear()

    def notified(self, payload: str) -> None:
        """Take note of a notification, for a `Listener`."""
        self._loads.notified(payload)

    def missed(self) -> None:
        """Forget everything, for a `Listener` that may have missed something."""
        self._loads.clear()


class Cached(_Subscriber, Generic[K, V]):
    """What `load` returns for a key, for at most `ttl` seconds, in this process; thread-safe.

    A value is never older than `ttl` when it is asked for, counted from the moment its load began,
    whatever fails. As a subscriber of a `Listener` to the channel of
    `op.create_change_notification` it forgets a value as soon as the change is committed; `column`
    is the one of the trigger's key columns that the keys belong to. A load that began before a
    change was heard of answers only those who asked before.

    Of several that ask for a missing key at once one loads and the others wait. What `load` raises
    is raised by all of them, and kept by nobody; None is a value like any other. `size` is how
    many values are kept: the least recently asked go first.

    `load` must read the primary in a transaction of its own: a replica, or a snapshot that is
    older than the load, may return what was true before the change. Values are shared: let them be
    immutable. The keys' `str()` must be what PostgreSQL writes, as of uuid, integers and text.
    Without `column` every change forgets everything.
    """

    def __init__(
        self,
        load: Callable[[K], V],
        *,
        column: str | None = None,
        ttl: float = 60.0,
        size: int = 1024,
        clock: Callable[[], float] = _now,
    ) -> None:
        self._load = load
        self._loads: _Loads[K, Future[V]] = _Loads(ttl, size, column, clock)

    def get(self, key: K) -> V:
        """Return the value of a key; raises what `load` raises."""
        future, ours = self._loads.join(key, Future)
        if ours:
            try:
                future.set_result(self._load(key))
            except BaseException as error:
                self._loads.failed(key, future)
                future.set_exception(error)
                raise
        return future.result()

    def invalidate(self, *keys: K) -> None:
        """Load these keys anew when they are asked for next."""
        self._loads.invalidate(*keys)


class AsyncCached(_Subscriber, Generic[K, V]):
    """The asynchronous twin of Cached, for one event loop.

    A load goes on when the request that began it is cancelled, as others may wait for it.
    """

    def __init__(
        self,
        load: Callable[[K], Awaitable[V]],
        *,
        column: str | None = None,
        ttl: float = 60.0,
        size: int = 1024,
        clock: Callable[[], float] = _now,
    ) -> None:
        self._load = load
        self._loads: _Loads[K, asyncio.Future[V]] = _Loads(ttl, size, column, clock)
        self._under_way = set[asyncio.Task[None]]()

    async def get(self, key: K) -> V:
        """Return the value of a key; raises what `load` raises."""
        future, ours = self._loads.join(key, asyncio.get_running_loop().create_future)
        if ours:
            task = asyncio.create_task(self._fill(key, future))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(future)

    async def _fill(self, key: K, future: asyncio.Future[V]) -> None:
        try:
            future.set_result(await self._load(key))
        except Exception as error:  # noqa: BLE001  (whoever waits raises it)
            self._loads.failed(key, future)
            future.set_exception(error)
            future.exception()  # nobody may wait any more, and that is no error
        except BaseException:
            self._loads.failed(key, future)
            future.cancel()
            raise

    def invalidate(self, *keys: K) -> None:
        """Load these keys anew when they are asked for next."""
        self._loads.invalidate(*keys)
