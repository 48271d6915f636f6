"""What a terminal shows of a diagnosis."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pgmodern.doctor.diagnosis import Diagnosis, Kind

_COLOURS = {"note": "cyan", "warning": "yellow", "error": "red"}


def write(console: Console, found: Sequence[Diagnosis]) -> None:
    """Print the findings as a table, and below it their cures, for each kind of revision."""
    if not found:
        console.print("Nothing found.")
        return
    console.print(_table(found))
    for title, online in (
        ("In an online revision:", True),
        ("In a transactional revision:", False),
    ):
        cures = list(dict.fromkeys(_cures(found, online=online)))
        if cures:
            console.print(f"\n{title}")
        for cure in cures:
            # Never broken, however narrow the terminal is: it is to be copied.
            console.print(f"    {cure}", soft_wrap=True, markup=False, highlight=False)


def _table(found: Sequence[Diagnosis]) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False)
    for each in found:
        colour = _COLOURS[each.severity]
        table.add_row(
            f"[{colour}]{each.severity}[/{colour}]",
            f"[bold]{each.kind}[/bold]  {escape(_where(each))}\n{escape(each.detail)}",
        )
    return table


def _where(diagnosis: Diagnosis) -> str:
    """Name the object, with its table, and with its schema unless it is public."""
    if diagnosis.table is None:
        return diagnosis.name
    schema = "" if diagnosis.schema == "public" else f"{diagnosis.schema}."
    of = "" if diagnosis.kind is Kind.UNANALYZED_TABLE else f"{diagnosis.name} of "
    return f"{of}{schema}{diagnosis.table}"


def _cures(found: Sequence[Diagnosis], *, online: bool) -> Iterator[str]:
    for each in found:
        if each.cure is not None and each.cure.partition("(")[0].endswith("_online") == online:
            yield each.cure
