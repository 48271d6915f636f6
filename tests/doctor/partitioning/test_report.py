"""What a terminal shows of advice, wide or narrow."""

import io

import pytest
from rich.console import Console

from pgmodern.doctor.partitioning import Advice, Refusal
from pgmodern.doctor.partitioning.report import write

LINE = "op.partition_table_online('plays', 'at', interval='1 month', ahead=3, schema='[app]')"
KEY = (Refusal("the unique index [red] does not contain it", "Put it there."),)
SAID = [
    Advice("[app]", "plays", "yes", "it is large", 5000, 2**30, "at", "1 month", 12.0, (),
           ("Rows stay [there].",), LINE, "op.unpartition_table_online('plays')"),
    Advice("public", "likes", "blocked", "it is large", 5000, 2**30, "at", "1 day", 365.0, KEY),
    Advice("public", "songs", "no", "it is small", 5, 8192, "at", None, None, KEY),
    Advice("public", "locked", "not known", "canceling statement"),
]  # fmt: skip


def shown(said: list[Advice], width: int, *, in_full: bool = False) -> str:
    console = Console(file=io.StringIO(), width=width)
    write(console, said, in_full=in_full)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_verdict_a_reason_and_the_line_of_the_revision() -> None:
    assert [line.rstrip() for line in shown(SAID, 120).splitlines()] == [
        "yes        [app].plays  by at, 1 month each  about 5,000 rows, 1,024 MB",
        "           it is large",
        "           - Rows stay [there].",
        "blocked    likes  by at, 1 day each  about 5,000 rows, 1,024 MB",
        "           it is large",
        "           Partitioning by at would be refused:",
        "           - the unique index [red] does not contain it. Put it there.",
        "no         songs  about 5 rows, 8,192 bytes",
        "           it is small",
        "not known  locked",
        "           canceling statement",
        "",
        "In an online revision:",
        f"    {LINE}",
    ]


@pytest.mark.parametrize("width", [20, 40, 200])
def test_the_line_is_never_broken(width: int) -> None:
    assert LINE in shown(SAID, width)


@pytest.mark.quick
def test_in_full_it_also_says_what_stands_in_the_way_of_a_no() -> None:
    assert "Partitioning by at would be refused" in shown(SAID[2:3], 120, in_full=True)
    assert "refused" not in shown(SAID[2:3], 120)


@pytest.mark.quick
def test_of_no_table_it_says_so() -> None:
    assert shown([], 80) == "There is no table.\n"
