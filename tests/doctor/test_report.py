"""What a terminal shows, wide or narrow."""

import io

import pytest
from rich.console import Console

from pgmodern.doctor import Diagnosis, Kind
from pgmodern.doctor.report import write

DROP = "op.drop_index_online('idx_of_a_name_that_is_longer_than_any_terminal_would_like_it')"
EXECUTE = 'op.execute(\'ALTER TABLE "app"."[red]" VALIDATE CONSTRAINT "[/red]"\')'
FOUND = [
    Diagnosis(Kind.INVALID_INDEX, "error", "public", "songs", "ix", "a build of it", DROP),
    Diagnosis(Kind.KEY_COPY, "warning", "public", "songs", "ix", "a copy", DROP),
    Diagnosis(Kind.UNVALIDATED_CONSTRAINT, "warning", "app", "[red]", "[/red]", "new", EXECUTE),
    Diagnosis(Kind.INVALID_INDEX, "error", "public", "plays", "whole", "some lack it", None),
    Diagnosis(Kind.UNANALYZED_TABLE, "warning", "app", "songs", "songs", "unknown", None),
    Diagnosis(Kind.PENDING_LIST, "note", None, None, "db", "not known: " + "why " * 30, None),
]


def shown(found: list[Diagnosis], width: int = 80) -> list[str]:
    """Return the lines that a terminal of that width is sent."""
    out = io.StringIO()
    write(Console(file=out, width=width), found)
    return out.getvalue().splitlines()


def test_nothing_is_said_to_be_nothing() -> None:
    assert shown([]) == ["Nothing found."]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_cures_are_whole_lines_once_each_by_the_kind_of_revision(width: int) -> None:
    lines = shown(FOUND, width)
    start = lines.index("In an online revision:")
    assert lines[start:] == [
        "In an online revision:",
        f"    {DROP}",
        "",
        "In a transactional revision:",
        f"    {EXECUTE}",
    ]
    assert max(map(len, lines[:start])) <= width


def test_each_finding_names_its_object_and_what_is_wrong() -> None:
    lines = [line.rstrip() for line in shown(FOUND)]
    assert lines[:6] == [
        "error    invalid-index  ix of songs",
        "         a build of it",
        "warning  key-copy  ix of songs",
        "         a copy",
        "warning  unvalidated-constraint  [/red] of app.[red]",
        "         new",
    ]
    assert "warning  unanalyzed-table  app.songs" in lines
    assert "note     pending-list  db" in lines


def test_where_there_is_no_cure_no_revision_is_named() -> None:
    assert not any("revision" in line for line in shown(FOUND[3:]))
