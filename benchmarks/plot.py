"""Lines over numbers of rows, as an SVG that is the same for the same numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator
from matplotlib.typing import RcKeyType

STYLE: dict[RcKeyType, Any] = {
    "svg.hashsalt": "pgmodern",
    "svg.fonttype": "none",  # text stays text
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "grid.color": "#e5e5e5",
    "grid.linewidth": 0.8,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "lines.linewidth": 1.8,
    "lines.markersize": 5.5,
}
# Of Okabe and Ito, which the colour-blind tell apart; where two lines meet, the marks differ.
LOOKS = (("#0072b2", "o"), ("#d55e00", "s"), ("#009e73", "^"))
INCHES = (8.4, 6.2)


@dataclass(frozen=True, slots=True)
class Panel:
    """A measure: of each name, its values over the numbers of rows.

    It is drawn `between` two values, and further where lines go, or else logarithmically.
    """

    title: str
    lines: Mapping[str, Sequence[float]]
    between: tuple[float, float] | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the most of all values, and of what it is drawn between."""
        values = [value for line in self.lines.values() for value in line]
        values += self.between or ()
        return min(values), max(values)


def draw(path: Path, rows: Sequence[int], panels: Sequence[Panel]) -> None:
    """Write up to four panels, of the same names, into a file."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=INCHES, layout="constrained")
        axes = figure.subplots(2, 2).flat
        for ax, panel in zip(axes, panels, strict=False):
            _fill(ax, rows, panel)
        figure.supxlabel("rows", fontsize=STYLE["font.size"])
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _fill(ax: Axes, rows: Sequence[int], panel: Panel) -> None:
    for (name, values), (colour, mark) in zip(panel.lines.items(), LOOKS, strict=False):
        ax.plot(rows, values, label=name, color=colour, marker=mark)
    ax.set_title(panel.title)
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(rows))
    ax.xaxis.set_major_formatter(FuncFormatter(short))
    ax.xaxis.set_minor_locator(NullLocator())
    if panel.between is not None:
        least, most = panel.ends
        margin = (most - least) / 20
        ax.set_ylim(least - margin, most + margin)
        return
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=_named(panel)))
    ax.yaxis.set_major_formatter(FuncFormatter(_plain))
    ax.yaxis.set_minor_locator(NullLocator())


def _named(panel: Panel) -> tuple[float, ...]:
    """Return which multiples of a power of ten are named: more of them where powers are few."""
    least, most = panel.ends
    return (1,) if most > 100 * least else (1, 2, 5)


def short(rows: float, _: object = None) -> str:
    """Write 10,000 as 10k, and 1,000,000 as 1M."""
    for power, letter in ((1_000_000, "M"), (1_000, "k")):
        if rows >= power:
            return f"{rows / power:g}{letter}"
    return f"{rows:g}"


def _plain(value: float, _: object = None) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"
