"""What a terminal shows of advice."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pgmodern.doctor.partitioning.advice import Advice
from pgmodern.doctor.partitioning.amounts import size

_COLOURS = {
    "yes": "green",
    "blocked": "yellow",
    "not yet": "cyan",
    "not known": "cyan",
    "no": "default",
}


def write(console: Console, advised: Sequence[Advice], *, in_full: bool) -> None:
    """Print a verdict for each table and why, and the lines of the revisions.

    In full also what stands in the way where the verdict is no anyway.
    """
    if not advised:
        console.print("There is no table.")
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    for each in advised:
        colour = _COLOURS.get(each.verdict, "default")
        table.add_row(f"[{colour}]{each.verdict}[/{colour}]", _said(each, in_full))
    console.print(table)
    for each in advised:
        if each.upgrade is not None:
            console.print("\nIn an online revision:")
            # Never broken, however narrow the terminal is: it is to be copied.
            console.print(f"    {each.upgrade}", soft_wrap=True, markup=False, highlight=False)


def _said(advice: Advice, in_full: bool) -> str:
    decided = advice.verdict in {"yes", "blocked"}
    lines = [_headline(advice), escape(advice.reason)]
    if decided or in_full:
        lines += map(escape, _obstacles(advice))
    lines += (f"- {escape(each)}" for each in advice.consequences)
    return "\n".join(lines)


def _headline(advice: Advice) -> str:
    schema = "" if advice.schema == "public" else f"{advice.schema}."
    parts = [f"[bold]{escape(schema + advice.table)}[/bold]"]
    if advice.interval is not None:
        parts.append(escape(f"by {advice.column}, {advice.interval} each"))
    if advice.rows is not None and advice.bytes is not None:
        parts.append(f"about {advice.rows:,} rows, {size(advice.bytes)}")
    return "  ".join(parts)


def _obstacles(advice: Advice) -> Iterator[str]:
    if advice.obstacles:
        yield f"Partitioning by {advice.column} would be refused:"
    for each in advice.obstacles:
        yield f"- {each.cause}. {each.cure}"
