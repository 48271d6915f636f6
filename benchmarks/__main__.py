"""`python -m benchmarks [name ...]`: a table per question; exit code 1 when a goal is missed."""

import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from sqlalchemy import Engine

from benchmarks import (
    autogenerate,
    backfill,
    bandit,
    chat,
    chat_writes,
    coarse,
    compatibility,
    database,
    documents,
    events,
    filtered,
    fragrance,
    full_text,
    fuzzy,
    house,
    kills,
    loading,
    misspelt,
    nearest,
    overhead,
    paths,
    pooled,
    profiles,
    relevance,
    round_trips,
    runners,
    scale,
    search_vector,
    stalls,
    upgrade,
    vibe,
)
from benchmarks.dataset import DEFAULT_FOLDER, DataMissing, Dataset
from benchmarks.report import Report

QUESTIONS: dict[str, Callable[[Engine, Dataset], Report]] = {
    "fuzzy": fuzzy.ask,
    "full_text": full_text.ask,
    "search_vector": search_vector.ask,
    "documents": documents.ask,
    "nearest": nearest.ask,
    "filtered": filtered.ask,
    "coarse": coarse.ask,
    "scale": scale.ask,
    "misspelt": misspelt.ask,
    "loading": loading.ask,
    "relevance": relevance.ask,
    "chat": chat.ask,
    "chat_writes": chat_writes.ask,
    "vibe": vibe.ask,
    "fragrance": fragrance.ask,
    "events": events.ask,
    "paths": paths.ask,
    "bandit": bandit.ask,
    "stalls": stalls.ask,
    "runners": runners.ask,
    "backfill": backfill.ask,
    "pooled": pooled.ask,
    "profiles": profiles.ask,
    "upgrade": upgrade.ask,
    "autogenerate": autogenerate.ask,
    "overhead": overhead.ask,
    "round_trips": round_trips.ask,
    "compatibility": compatibility.ask,
    "kills": kills.ask,
    "house": house.ask,
}
WITHOUT_DATA = {
    "autogenerate",
    "events",
    "paths",
    "bandit",
    "stalls",
    "runners",
    "backfill",
    "pooled",
    "profiles",
    "round_trips",
    "loading",
    "compatibility",
    "kills",
    "house",
}


def main(
    names: Annotated[list[str] | None, typer.Argument(help=f"of: {', '.join(QUESTIONS)}")] = None,
    json_path: Annotated[Path | None, typer.Option("--json", help="also write it as JSON")] = None,
    data: Annotated[Path, typer.Option(help="the folder of the real data")] = DEFAULT_FOLDER,
    url: Annotated[
        str | None, typer.Option(help="an empty database, in place of a server of our own")
    ] = None,
) -> None:
    """Ask the named questions, or all of them."""
    chosen = names or list(QUESTIONS)
    if unknown := set(chosen) - set(QUESTIONS):
        raise typer.BadParameter(f"no such question: {', '.join(sorted(unknown))}")
    console = Console(width=None if sys.stdout.isatty() else 120)
    try:
        reports = _answers(chosen, Dataset(data), url, console, json_path)
    except DataMissing as error:
        sys.stderr.write(f"error: {error}\n")
        raise typer.Exit(1) from None
    if not all(report.met for report in reports):
        raise typer.Exit(1)


def _answers(
    names: list[str],
    dataset: Dataset,
    url: str | None,
    console: Console,
    json_path: Path | None,
) -> list[Report]:
    if set(names) - WITHOUT_DATA:
        dataset.tracks()  # so that what is missing is said before a server starts
    engine = database.start() if url is None else database.at(url)
    server = f"{database.version(engine)}, Python {platform.python_version()}, one client"
    console.print(server)
    reports = []
    for name in names:
        started = time.monotonic()
        report = QUESTIONS[name](engine, dataset)
        console.print(report.table(), f"{name}: {time.monotonic() - started:.0f} s in all\n")
        reports.append(report)
    engine.dispose()
    if json_path is not None:
        answers = {"server": server, "reports": [each.document() for each in reports]}
        json_path.write_text(json.dumps(answers, indent=2) + "\n")
    return reports


if __name__ == "__main__":
    typer.run(main)
