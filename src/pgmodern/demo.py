"""`pgmodern demo`: the sample loaded, and questions a person would ask, answered and measured."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from pgmodern.embedders import Embedder, padded
from pgmodern.errors import MigrationError
from pgmodern.queries.explain import indexes_used, plans
from pgmodern.reference.music import (
    AIInteractionEmbeddingRepository,
    ArchiveRepository,
    ArtistRepository,
    TrackRepository,
    sample,
)
from pgmodern.reference.music.embedding import embed_ai_logs
from pgmodern.reference.music.models import EMBEDDING_DIMENSIONS

_SHOWN = 3
_RUNS = 5

Ask = Callable[[Session], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question found, its median latency, and the indexes that EXPLAIN names."""

    lines: Sequence[str]
    milliseconds: float
    indexes: Sequence[str]


def run(engine: Engine, embedder: Embedder | None, console: Console) -> None:
    """Load the sample, embed its logs, and print questions with answer, latency and index.

    Without an embedder nothing is embedded, and no question of meaning is asked.
    """
    _require_schema(engine)
    shipped = sample.read()
    sample.load(engine, shipped)
    of_meaning = {} if embedder is None else _questions_of_meaning(engine, embedder)
    console.print(
        f"\n[bold]{len(shipped.songs):,} songs and {len(shipped.playlists):,} playlists[/bold] "
        f"({shipped.origin})"
    )
    for question, ask in (_QUESTIONS | of_meaning).items():
        _show(console, question, answer(engine, ask))


def _require_schema(engine: Engine) -> None:
    with engine.connect() as connection:
        if not connection.scalar(text("SELECT to_regclass('ai_interaction_embeddings') IS NULL")):
            return
    raise MigrationError("The database is not at head.", "Run: alembic upgrade head")


def _lines(found: Iterable[Any], *names: str, score: bool = True) -> list[str]:
    return [
        ", ".join(getattr(hit, name) for name in names) + (f"  ({hit.score:.2f})" if score else "")
        for hit in found
    ]


_TRACK = ("title", "artist")
_QUESTIONS: dict[str, Ask] = {
    "Which song is “Bohemain Rapsody”? (two typos)": lambda session: _lines(
        TrackRepository(session).fuzzy("Bohemain Rapsody", _SHOWN), *_TRACK
    ),
    "Who are the “Beetles”?": lambda session: _lines(
        ArtistRepository(session).fuzzy("Beetles", _SHOWN), "name"
    ),
    'Which titles say "how deep is your love", as a phrase?': lambda session: _lines(
        TrackRepository(session).full_text('"how deep is your love"', _SHOWN), *_TRACK
    ),
    "Love songs that are not about forever: love -forever": lambda session: _lines(
        TrackRepository(session).full_text("love -forever", _SHOWN), *_TRACK
    ),
    "Typing “I want to h…”": lambda session: _lines(
        TrackRepository(session).suggest("I want to h", _SHOWN), *_TRACK
    ),
    "Which playlists hold Madonna?": lambda session: _lines(
        ArchiveRepository(session).holding_artist("Madonna", _SHOWN).rows, "name", score=False
    ),
    "Which playlists are of the years 1984 and 1985?": lambda session: _lines(
        ArchiveRepository(session).with_key_between("year", 1984, 1985, _SHOWN).rows,
        "name",
        score=False,
    ),
}


def _questions_of_meaning(engine: Engine, embedder: Embedder) -> dict[str, Ask]:
    """Embed what the sample's people asked for; return a question that only that answers."""
    embed_ai_logs(engine, embedder)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE ai_interaction_embeddings"))
    wish = "a slow sad song about losing love"
    (vector,) = padded(embedder.embed([wish]), EMBEDDING_DIMENSIONS)
    return {
        f"More like this: “{wish}”": lambda session: _lines(
            AIInteractionEmbeddingRepository(session).similar(vector, _SHOWN), "prompt"
        )
    }


def answer(engine: Engine, ask: Ask) -> Answer:
    """Ask several times; return the lines, the median latency and the indexes of the plan."""
    # A read needs no transaction: without BEGIN and ROLLBACK it is one round trip.
    with Session(engine.execution_options(isolation_level="AUTOCOMMIT")) as session:
        lines = ask(session)
        seconds = sorted(_timed(session, ask) for _ in range(_RUNS))
        used = [each.custom for each in plans(session, lambda: ask(session))]
    return Answer(lines, seconds[_RUNS // 2] * 1000, indexes_used(used))


def _timed(session: Session, ask: Ask) -> float:
    started = time.perf_counter()
    ask(session)
    return time.perf_counter() - started


def _show(console: Console, question: str, answer: Answer) -> None:
    console.print(f"\n[bold]{question}[/bold]")
    for line in answer.lines or ["(nothing)"]:
        console.print(f"  {line}", markup=False, highlight=False)
    # Primary keys only fetch what the search has found.
    searched = [name for name in answer.indexes if not name.endswith("_pkey")]
    served = ", ".join(searched) or "no index: a sequential scan"
    console.print(f"  [dim]{answer.milliseconds:.1f} ms by {served}[/dim]", highlight=False)
