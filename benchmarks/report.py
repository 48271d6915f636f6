"""What a question's answer looks like: figures beside their baselines, and the goals they meet."""

from dataclasses import dataclass, field
from typing import Any

from rich.table import Table


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value; `ratio` is how many times the baseline is of it."""

    what: str
    value: float
    unit: str = "ms"
    baseline: float | None = None
    at_most: float | None = None
    at_least: float | None = None
    ratio_at_least: float | None = None

    @property
    def ratio(self) -> float | None:
        """The baseline as a multiple of the value."""
        return None if self.baseline is None or not self.value else self.baseline / self.value

    @property
    def met(self) -> bool | None:
        """Whether the goals are met; None without a goal."""
        goals = []
        if self.at_most is not None:
            goals.append(self.value <= self.at_most)
        if self.at_least is not None:
            goals.append(self.value >= self.at_least)
        if self.ratio_at_least is not None:
            goals.append((self.ratio or 0) >= self.ratio_at_least)
        return all(goals) if goals else None


@dataclass(frozen=True, slots=True)
class Report:
    """A question's figures; `baseline` says what they are compared with, `notes` what was done."""

    question: str
    baseline: str
    figures: list[Figure]
    notes: list[str] = field(default_factory=list)

    @property
    def met(self) -> bool:
        """Whether no goal is missed."""
        return all(figure.met is not False for figure in self.figures)

    def table(self) -> Table:
        """Return the figures as a table for a terminal."""
        table = Table(title=self.question, caption="\n".join(self.notes), caption_justify="left")
        table.add_column("")
        for heading in ("pgmodern", f"baseline:\n{self.baseline}", "ratio", "goal"):
            table.add_column(heading, justify="right")
        for figure in self.figures:
            ratio = "" if figure.ratio is None else f"{figure.ratio:,.2g}x"
            if figure.ratio is not None and figure.ratio >= 10:
                ratio = f"{figure.ratio:,.0f}x"
            table.add_row(
                figure.what,
                _written(figure.value, figure.unit),
                "" if figure.baseline is None else _written(figure.baseline, figure.unit),
                ratio,
                _goal(figure),
            )
        return table

    def document(self) -> dict[str, Any]:
        """Return the report as JSON would have it."""
        return {
            "question": self.question,
            "baseline": self.baseline,
            "notes": self.notes,
            "met": self.met,
            "figures": [
                {
                    "what": each.what,
                    "value": each.value,
                    "unit": each.unit,
                    "baseline": each.baseline,
                    "ratio": each.ratio,
                    "at_most": each.at_most,
                    "at_least": each.at_least,
                    "ratio_at_least": each.ratio_at_least,
                    "met": each.met,
                }
                for each in self.figures
            ],
        }


def _written(value: float, unit: str) -> str:
    if isinstance(value, int):  # a count
        return f"{value:,} {unit}"
    if not unit:
        return f"{value:.3f}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


def _goal(figure: Figure) -> str:
    goals = []
    if figure.at_most is not None:
        goals.append(f"<= {figure.at_most:g} {figure.unit}".rstrip())
    if figure.at_least is not None:
        goals.append(f">= {figure.at_least:g} {figure.unit}".rstrip())
    if figure.ratio_at_least is not None:
        goals.append(f">= {figure.ratio_at_least:g}x")
    if not goals:
        return ""
    verdict = "[green]met[/]" if figure.met else "[bold red]MISSED[/]"
    return f"{', '.join(goals)}: {verdict}"
