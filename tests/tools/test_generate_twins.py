"""What is generated is up to date, and what is not is found and named."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

from tools.generate_twins import PACKAGE, SOURCE, TWIN, check, generated, main

ASYNCHRONOUS = '''"""Things, in a session of either kind."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.ext.asyncio import AsyncSession

from pgmodern.things.asynchronous.base import AsyncBase

__all__ = ["AsyncThings"]


class AsyncThings(AsyncBase):
    """Finds things."""

    def __init__(self, session: AsyncSession, engine: "AsyncEngine") -> None:
        self.session, self.engine = session, engine

    async def find(self, query: Select[int], and_then: Select[int], another_argument: int) -> int:
        """Return how many there are."""
        async with self.engine.begin() as one, self.engine.begin() as other:
            await one.execute(query)  # a comment stays
            found = [each async for each in await other.stream(query)]
        return len(found) + await self.rest(
            and_then
        )

    @asynccontextmanager
    async def held(self) -> AsyncIterator[int]:
        """Hold on to one."""
        yield await self.find(1)
'''
SYNCHRONOUS = '''# Generated from ../asynchronous/things.py by `make twins`: do not edit.
"""Things, in a session of either kind."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, Select
from sqlalchemy.orm import Session

from pgmodern.things.synchronous.base import Base

__all__ = ["Things"]


class Things(Base):
    """Finds things."""

    def __init__(self, session: Session, engine: "Engine") -> None:
        self.session, self.engine = session, engine

    def find(self, query: Select[int], and_then: Select[int], another_argument: int) -> int:
        """Return how many there are."""
        with self.engine.begin() as one, self.engine.begin() as other:
            one.execute(query)  # a comment stays
            found = [each for each in other.stream(query)]
        return len(found) + self.rest(and_then)

    @contextmanager
    def held(self) -> Iterator[int]:
        """Hold on to one."""
        yield self.find(1)
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package with one source, whose twin is written."""
    source = tmp_path / "store" / SOURCE / "things.py"
    source.parent.mkdir(parents=True)
    source.write_text(ASYNCHRONOUS)
    assert main([str(tmp_path)]) == 0
    return tmp_path


@pytest.fixture
def twin(package: Path) -> Path:
    """The file that is generated from it."""
    return package / "store" / TWIN / "things.py"


def test_this_package_is_up_to_date() -> None:
    assert "".join(check()) == ""


def test_a_synchronous_class_is_made_and_formatted(package: Path, twin: Path) -> None:
    assert twin.read_text() == SYNCHRONOUS
    assert main(["--check", str(package)]) == 0


def test_what_is_generated_does_not_depend_on_what_is_there(package: Path, twin: Path) -> None:
    before = generated(package)
    twin.unlink()
    assert generated(package) == before


def test_a_file_that_is_out_of_date_is_shown(
    package: Path, twin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin.write_text(SYNCHRONOUS.replace("how many there are", "how many"))
    assert main(["--check", str(package)]) == 1
    shown = capsys.readouterr().out
    assert "--- store/synchronous/things.py (as it is)" in shown
    assert '-        """Return how many."""' in shown
    assert '+        """Return how many there are."""' in shown
    assert main([str(package)]) == main(["--check", str(package)]) == 0


def test_a_file_that_is_missing_is_shown(
    package: Path, twin: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin.unlink()
    assert main(["--check", str(package)]) == 1
    assert "+++ store/synchronous/things.py (generated)" in capsys.readouterr().out
    assert not twin.exists()


@pytest.mark.parametrize("arguments", [["--check"], []], ids=["check", "write"])
def test_a_file_without_a_source_is_named_and_kept(
    package: Path, twin: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    stray = twin.with_name("stray.py")
    stray.write_text("")
    assert main([*arguments, str(package)]) == 1
    assert "store/synchronous/stray.py has no source" in capsys.readouterr().out
    assert stray.exists()


SOURCES = sorted(PACKAGE.glob(f"**/{SOURCE}/*.py"))
TWINS = sorted(PACKAGE.glob(f"**/{TWIN}/*.py"))
HAND_WRITTEN = {PACKAGE / "repositories" / "repository.py"}


def _of_package(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


def _classes(file: Path) -> list[str]:
    return [
        node.name for node in ast.parse(file.read_text()).body if isinstance(node, ast.ClassDef)
    ]


@pytest.mark.parametrize("file", SOURCES, ids=_of_package)
def test_every_asynchronous_class_says_so_in_its_name(file: Path) -> None:
    assert [name for name in _classes(file) if not name.startswith("Async")] == []


@pytest.mark.parametrize("file", TWINS, ids=_of_package)
def test_nothing_asynchronous_is_left(file: Path) -> None:
    tokens = tokenize.generate_tokens(io.StringIO(file.read_text()).readline)
    words = [token.string for token in tokens if token.type == tokenize.NAME]
    found = [word for word in words if word in {"async", "await"} or word.startswith("Async")]
    assert found == []


def test_every_repository_is_a_source_or_generated() -> None:
    files = [*(PACKAGE / "repositories").rglob("*.py"), *(PACKAGE / "reference").rglob("*.py")]
    others = set(files) - set(SOURCES) - set(TWINS) - HAND_WRITTEN
    assert [name for file in others for name in _classes(file) if name.endswith("Repository")] == []
    assert len(SOURCES) == len(TWINS) > 10
