"""What a loader returned is kept for a time, and until it is known to have changed."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from pgmodern.cached import AsyncCached, Cached

TTL = 10.0


@dataclass(slots=True)
class Clock:
    """A clock that is set by hand."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


@dataclass(slots=True)
class Table:
    """Rows, and the keys that were loaded from it."""

    rows: dict[int, str] = field(default_factory=dict)
    loaded: list[int] = field(default_factory=list)

    def load(self, key: int) -> str | None:
        """Return a row, if there is one."""
        self.loaded.append(key)
        return self.rows.get(key)

    async def load_async(self, key: int) -> str | None:
        """Do the same."""
        return self.load(key)


@pytest.fixture
def clock() -> Clock:
    """A clock that is set by hand."""
    return Clock()


@pytest.fixture
def table() -> Table:
    """A table of two rows."""
    return Table({1: "Ann", 2: "Bob"})


Get = Callable[[int], Any]


@pytest.fixture(params=["sync", "async"])
def kept(
    request: pytest.FixtureRequest, table: Table, clock: Clock
) -> tuple[Cached[int, Any] | AsyncCached[int, Any], Get]:
    """A cache of three rows of either kind, and how to ask it."""
    options: dict[str, Any] = {"column": "id", "ttl": TTL, "size": 3, "clock": clock}
    if request.param == "sync":
        cached = Cached(table.load, **options)
        return cached, cached.get
    asynchronous = AsyncCached(table.load_async, **options)
    return asynchronous, lambda key: asyncio.run(_get(asynchronous, key))


async def _get(cached: AsyncCached[int, Any], key: int) -> Any:
    return await cached.get(key)


def test_a_value_is_loaded_once_and_again_when_it_is_old(
    kept: tuple[Any, Get], table: Table, clock: Clock
) -> None:
    _, get = kept
    assert [get(1), get(1), get(2)] == ["Ann", "Ann", "Bob"]
    table.rows[1] = "Anna"
    clock.now += TTL - 0.001
    assert get(1) == "Ann"
    clock.now += 0.001
    assert get(1) == "Anna"
    assert table.loaded == [1, 2, 1]


def test_a_missing_row_is_kept_as_missing_until_it_is_there(
    kept: tuple[Any, Get], table: Table
) -> None:
    cached, get = kept
    assert [get(7), get(7)] == [None, None]
    assert table.loaded == [7]
    table.rows[7] = "Zoe"
    cached.notified('{"id": ["7"]}')
    assert get(7) == "Zoe"


@pytest.mark.quick
def test_only_the_keys_that_changed_are_loaded_again(kept: tuple[Any, Get], table: Table) -> None:
    cached, get = kept
    for change, of in (
        (cached.notified, ['{"id": ["1", "9"], "name": ["2"]}']),
        (cached.invalidate, [1, 9]),
    ):
        get(1), get(2)
        table.loaded.clear()
        change(*of)
        get(1), get(2)
        assert table.loaded == [1]


@pytest.mark.parametrize(
    "payload",
    ["", "x", "[]", "7", "null", '"id"', "{}", '{"name": ["1"]}', '{"id": null}', '{"id": [1]}'],
)
def test_what_does_not_name_the_keys_may_be_any(
    payload: str, kept: tuple[Any, Get], table: Table
) -> None:
    cached, get = kept
    get(1), get(2)
    cached.notified(payload)
    assert len(cached) == 0
    get(1), get(2)
    assert table.loaded == [1, 2, 1, 2]


@pytest.mark.quick
def test_without_a_column_every_change_forgets_everything(table: Table) -> None:
    cached = Cached(table.load)
    cached.get(1), cached.get(2)
    cached.notified('{"id": ["1"]}')
    assert len(cached) == 0


def test_all_is_forgotten_when_something_was_missed(kept: tuple[Any, Get], table: Table) -> None:
    cached, get = kept
    for forget in (cached.missed, cached.clear):
        get(1)
        table.loaded.clear()
        forget()
        get(1)
        assert table.loaded == [1]


@pytest.mark.quick
def test_the_least_recently_asked_goes_first(kept: tuple[Any, Get], table: Table) -> None:
    cached, get = kept
    for key in (1, 2, 3, 1, 4):
        get(key)
    assert len(cached) == 3
    table.loaded.clear()
    for key in (1, 3, 4):
        get(key)
    assert table.loaded == []
    get(2)
    assert table.loaded == [2]


@pytest.mark.quick
@pytest.mark.parametrize("options", [{"ttl": 0}, {"ttl": -1}, {"size": 0}])
def test_a_cache_that_keeps_nothing_is_refused(options: dict[str, Any], table: Table) -> None:
    with pytest.raises(ValueError, match="at least one value"):
        Cached(table.load, **options)
    with pytest.raises(ValueError, match="at least one value"):
        AsyncCached(table.load_async, **options)


def test_an_error_is_raised_and_not_kept(clock: Clock) -> None:
    failing = [True, False]

    def load(key: int) -> int:
        if failing.pop(0):
            raise LookupError(key)
        return key

    cached = Cached(load)
    with pytest.raises(LookupError):
        cached.get(1)
    assert cached.get(1) == 1


@dataclass(slots=True)
class Gate:
    """A loader that has read the row, and returns it when the gate is opened."""

    table: Table
    entered: threading.Event = field(default_factory=threading.Event)
    opened: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    def load(self, key: int) -> str | None:
        """Read at once, return late."""
        found = self.table.load(key)
        self.entered.set()
        assert self.opened.wait(10)
        if self.error is not None:
            raise self.error
        return found


def test_many_that_ask_at_once_load_once(table: Table, clock: Clock) -> None:
    gate = Gate(table)
    cached = Cached(gate.load, clock=clock)
    with ThreadPoolExecutor(32) as threads:
        asked = [threads.submit(cached.get, 1) for _ in range(32)]
        gate.entered.wait(10)
        gate.opened.set()
        assert {each.result() for each in asked} == {"Ann"}
    assert table.loaded == [1]


def test_the_error_of_a_load_is_everybody_s_who_waited_for_it(table: Table) -> None:
    gate = Gate(table, error=LookupError("down"))
    cached = Cached(gate.load)
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(cached.get, 1)]
        gate.entered.wait(10)
        asked.append(threads.submit(cached.get, 1))
        gate.opened.set()
        for each in asked:
            assert isinstance(each.exception(), LookupError)
    gate.error = None
    assert cached.get(1) == "Ann"


@pytest.mark.parametrize("payload", ['{"id": ["1"]}', ""])
def test_a_load_that_began_before_a_change_answers_only_those_who_asked_before(
    payload: str, table: Table
) -> None:
    gate = Gate(table)
    cached = Cached(gate.load, column="id")
    with ThreadPoolExecutor(2) as threads:
        before = threads.submit(cached.get, 1)
        gate.entered.wait(10)
        gate.entered.clear()
        table.rows[1] = "Anna"
        cached.notified(payload)
        after = threads.submit(cached.get, 1)  # does not join the load that is under way
        assert gate.entered.wait(10)
        gate.opened.set()
        assert (before.result(), after.result()) == ("Ann", "Anna")
    assert cached.get(1) == "Anna"
    assert table.loaded == [1, 1]


@pytest.mark.quick
def test_a_failed_load_does_not_take_a_later_one_along(table: Table) -> None:
    first, second = Gate(table, error=LookupError("down")), Gate(table)
    gates = [first, second]
    cached = Cached[int, Any](lambda key: gates.pop(0).load(key))
    with ThreadPoolExecutor(2) as threads:
        before = threads.submit(cached.get, 1)
        first.entered.wait(10)
        cached.clear()
        after = threads.submit(cached.get, 1)
        second.entered.wait(10)
        first.opened.set()
        assert isinstance(before.exception(), LookupError)
        second.opened.set()
        assert after.result() == "Ann"
    assert cached.get(1) == "Ann"


def test_the_time_counts_from_the_begin_of_the_load(table: Table, clock: Clock) -> None:
    gate = Gate(table)
    cached = Cached(gate.load, ttl=TTL, clock=clock)
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(cached.get, 1)
        gate.entered.wait(10)
        gate.entered.clear()
        clock.now += TTL
        table.rows[1] = "Anna"
        late = threads.submit(cached.get, 1)  # that load's row may be too old by now
        assert gate.entered.wait(10)
        gate.opened.set()
        assert (slow.result(), late.result()) == ("Ann", "Anna")
    clock.now += TTL - 0.001
    assert cached.get(1) == "Anna"
    clock.now += 0.001
    table.rows[1] = "Annie"
    assert cached.get(1) == "Annie"


async def test_a_cancelled_request_does_not_take_those_who_wait_along(table: Table) -> None:
    opened = asyncio.Event()

    async def load(key: int) -> str | None:
        await opened.wait()
        return table.load(key)

    cached = AsyncCached(load)
    first = asyncio.create_task(cached.get(1))
    second = asyncio.create_task(cached.get(1))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    opened.set()
    assert await second == "Ann"
    assert table.loaded == [1]


@pytest.mark.quick
async def test_an_error_that_nobody_waits_for_any_more_is_silent() -> None:
    opened = asyncio.Event()

    async def load(key: int) -> int:
        await opened.wait()
        raise LookupError(key)

    cached = AsyncCached(load)
    asked = asyncio.create_task(cached.get(1))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    opened.set()
    with pytest.raises(LookupError):
        await cached.get(1)
    assert len(cached) == 0


@dataclass(slots=True)
class Asked:
    """Somebody who asked: when, for what, and which version everybody had been told of."""

    key: int
    at: float
    told: int
    answer: asyncio.Task[int]


class Profiles(RuleBasedStateMachine):
    """Writers, notifications that are late or lost, loads that take their time, a clock.

    A row's value is its version. A load reads when it begins, which is the worst that may happen.
    """

    keys = st.integers(0, 2)

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Clock()
        self.commits: dict[int, list[float]] = {key: [-1e9] for key in range(3)}
        self.told = dict.fromkeys(range(3), 0)
        self.sent: list[tuple[int, int]] = []
        self.listening = True
        self.asked: list[Asked] = []
        self.loads: list[asyncio.Event] = []
        self.cached = AsyncCached(self.load, column="id", ttl=TTL, size=2, clock=self.clock)

    async def load(self, key: int) -> int:
        """Read at once, return when the rule `finish` says so."""
        version = len(self.commits[key]) - 1
        finished = asyncio.Event()
        self.loads.append(finished)
        await finished.wait()
        return version

    def turn(self) -> None:
        """Let everything run that can."""
        for _ in range(5):
            self.loop.run_until_complete(asyncio.sleep(0))

    @rule(key=keys)
    def ask(self, key: int) -> None:
        """Somebody asks."""
        answer = self.loop.create_task(self.cached.get(key))
        self.asked.append(Asked(key, self.clock.now, self.told[key], answer))
        self.turn()

    @precondition(lambda self: self.loads)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        """One of the loads returns."""
        self.loads.pop(data.draw(st.integers(0, len(self.loads) - 1))).set()
        self.turn()

    @rule(key=keys)
    def commit(self, key: int) -> None:
        """A writer commits; the notification is on its way, if somebody listens."""
        self.commits[key].append(self.clock.now)
        if self.listening:
            self.sent.append((key, len(self.commits[key]) - 1))

    @precondition(lambda self: self.sent)
    @rule()
    def deliver(self) -> None:
        """The oldest notification arrives."""
        key, version = self.sent.pop(0)
        self.told[key] = version
        self.cached.notified(f'{{"id": ["{key}"]}}')

    @rule()
    def lose(self) -> None:
        """The connection is lost, and what was on its way with it."""
        self.listening, self.sent = False, []

    @precondition(lambda self: not self.listening)
    @rule()
    def listen(self) -> None:
        """The listener is connected again."""
        self.listening = True
        self.told = {key: len(commits) - 1 for key, commits in self.commits.items()}
        self.cached.missed()

    @rule(seconds=st.sampled_from([0.1, TTL / 2, TTL - 0.1, TTL]))
    def wait(self, seconds: float) -> None:
        """Time goes by."""
        self.clock.now += seconds

    @invariant()
    def nobody_got_what_was_too_old(self) -> None:
        """Not older than the TTL when it was asked for, and not what was known to be old."""
        for asked in [each for each in self.asked if each.answer.done()]:
            self.asked.remove(asked)
            version, commits = asked.answer.result(), self.commits[asked.key]
            assert version >= asked.told
            if version + 1 < len(commits):
                assert commits[version + 1] > asked.at - TTL
        assert len(self.cached) <= 2

    def teardown(self) -> None:
        """Let all loads end."""
        while self.loads:
            self.loads.pop().set()
            self.turn()
        self.nobody_got_what_was_too_old()
        assert not self.asked
        self.loop.close()


TestProfiles = Profiles.TestCase
TestProfiles.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
