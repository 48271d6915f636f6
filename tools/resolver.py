"""Asks the resolver what can be installed, and where: `python -m tools.resolver`.

The lock from wheels alone, on every Python and platform that the README names; and pgmodern beside
packages that many applications have. Nothing is installed.
"""

import subprocess
import sys
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parents[1]
UV = Path(sys.executable).with_name("uv")
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
PLATFORMS = (
    "x86_64-manylinux_2_28",
    "aarch64-manylinux_2_28",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
)
BESIDE = (
    "alembic-postgresql-enum",
    "alembic-utils",
    "fastapi-users-db-sqlalchemy",
    "langchain-postgres",
    "llama-index-vector-stores-postgres",
    "sqlmodel",
)


def of_the_lock(python: str, platform: str) -> str | None:
    """Return why the lock cannot be installed from wheels; None where it can."""
    place = [f"--python-version={python}", f"--python-platform={platform}", "--target=/nowhere"]
    what = ["--no-deps", "--only-binary=:all:", "--requirements=requirements.lock"]
    return _refusal(["install", "--dry-run", *place, *what])


def beside(*packages: str) -> str | None:
    """Return why pgmodern cannot be installed beside the packages; None where it can."""
    wanted = "\n".join([f"pgmodern[all] @ {ROOT.as_uri()}", *packages])
    return _refusal(["compile", f"--python-version={PYTHONS[0]}", "-"], wanted)


def _refusal(arguments: list[str], given: str = "") -> str | None:
    done = subprocess.run(
        [UV, "pip", *arguments[:1], "--quiet", *arguments[1:]],
        cwd=ROOT,
        check=False,
        input=given,
        capture_output=True,
        text=True,
    )
    return done.stderr.strip() or "no reason" if done.returncode else None


def main() -> int:
    """Print a line for each question; return 1 where something cannot be installed."""
    answers = {
        f"the lock, Python {python}, {platform}": of_the_lock(python, platform)
        for python, platform in product(PYTHONS, PLATFORMS)
    }
    answers |= {f"beside {package}": beside(package) for package in BESIDE}
    answers["beside all of them"] = beside(*BESIDE)
    for question, refusal in answers.items():
        print(f"{question:<60}{'no' if refusal else 'yes'}")
        if refusal:
            print(refusal)
    return int(any(answers.values()))


if __name__ == "__main__":
    sys.exit(main())
