"""What is shown of findings: to people, to programs, to GitHub."""

import io
import json
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from pgmodern.lint import Finding, Severity, report

FINDING = Finding(
    "index-not-online",
    "error",
    "0002",
    Path("/srv/versions/0002_[bold]titles.py"),
    10,
    "CREATE INDEX: nobody writes [red]to songs.",
    "op.create_index_online",
    "CREATE INDEX ix ON songs (title);",
)
TEXT = st.text(st.characters(codec="utf-8"))


def shown(*found: Finding, width: int = 40) -> str:
    output = io.StringIO()
    report.write(Console(file=output, width=width), found)
    return output.getvalue()


def test_a_finding_is_its_place_its_message_its_statement_and_its_cure() -> None:
    assert shown(FINDING).splitlines() == [
        "error    index-not-online  /srv/versions/0002_[bold]titles.py:10",
        "         CREATE INDEX: nobody writes [red]to songs.",
        "         CREATE INDEX ix ON songs (title);",
        "         op.create_index_online",
    ]


def test_a_path_is_shown_from_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    finding = Finding("rule", "warning", "1", tmp_path / "versions" / "1.py", 3, "why", "cure")
    assert shown(finding).splitlines() == [
        "warning  rule  versions/1.py:3",
        "         why",
        "         cure",
    ]


def test_nothing_is_said_to_be_nothing() -> None:
    assert shown() == "Nothing found.\n"
    assert json.loads(report.as_json([])) == []
    assert list(report.annotations([])) == []


@pytest.mark.quick
def test_json_has_all_of_it() -> None:
    (found,) = json.loads(report.as_json([FINDING]))
    assert found == {
        "rule": "index-not-online",
        "severity": "error",
        "revision": "0002",
        "path": "/srv/versions/0002_[bold]titles.py",
        "line": 10,
        "message": "CREATE INDEX: nobody writes [red]to songs.",
        "cure": "op.create_index_online",
        "sql": "CREATE INDEX ix ON songs (title);",
    }


def test_an_annotation_is_a_workflow_command() -> None:
    assert list(report.annotations([FINDING])) == [
        "::error file=/srv/versions/0002_[bold]titles.py,line=10,title=index-not-online::"
        "CREATE INDEX: nobody writes [red]to songs.%0ACREATE INDEX ix ON songs (title);%0A"
        "op.create_index_online"
    ]


@example("%3A", "/%2C,:", "%0A", "100 %")
@given(TEXT, TEXT.filter(lambda path: "\0" not in path), TEXT, TEXT)
def test_an_annotation_is_one_line_whatever_is_in_it(
    rule: str, path: str, message: str, cure: str
) -> None:
    severity: Severity = "warning"
    finding = Finding(rule, severity, "1", Path(path), 7, message, cure)
    (line,) = report.annotations([finding])
    assert not set("\r\n") & set(line)
    empty, properties, data = line.split("::", 2)
    assert empty == ""
    command, _, rest = properties.partition(" ")
    assert command == "warning"
    named = dict(each.split("=", 1) for each in rest.split(","))
    assert named.keys() == {"file", "line", "title"}
    assert (unquote(named["title"]), unquote(named["file"])) == (rule, str(Path(path)))
    assert unquote(data) == "\n".join(part for part in (message, cure) if part)
