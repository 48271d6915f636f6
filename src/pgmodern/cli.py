"""The command `pgmodern`.

Its help is read more often than any command is run. So a command imports what it needs itself.
"""

# ruff: noqa: PLC0415

from __future__ import annotations

import json
import logging
import re
import signal
import sys
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

import pgmodern
from pgmodern.doctor.diagnosis import DAYS, SEVERITIES, Kind, Severity
from pgmodern.lint.finding import LARGE
from pgmodern.lint.finding import SEVERITIES as LINT_SEVERITIES
from pgmodern.lint.finding import Severity as LintSeverity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.table import Table
    from sqlalchemy import Engine

    from pgmodern.doctor import Finding
    from pgmodern.embedders import Embedder

REFERENCE = [
    f"pgmodern.reference.{name}:Base.metadata" for name in ("music", "chat", "audio", "fragrance")
]
_UNITS = {unit: 1024**power for power, unit in enumerate(("B", "kB", "MB", "GB", "TB"))}
_MIGRATE = "Run: alembic upgrade head"
log = logging.getLogger("pgmodern")


def size_in_bytes(given: str) -> int:
    """Return the bytes of a size as PostgreSQL writes it; a number alone is in bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(B|kB|MB|GB|TB)?", given.strip())
    found = int(float(match[1]) * _UNITS[match[2] or "B"]) if match else 0
    if found < 1:
        raise typer.BadParameter("a size is like 64GB: a number and B, kB, MB, GB or TB")
    return found


app = typer.Typer(
    help="Make a live PostgreSQL modern, and see that it is.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
embed = typer.Typer(help="Embed what has no embedding yet.", no_args_is_help=True)
app.add_typer(embed, name="embed")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pgmodern {pgmodern.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; an error of ours is one message and exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    logging.getLogger("pgmodern").setLevel(logging.INFO)
    try:
        app()
    except Exception as error:
        from pgmodern.errors import PgmodernError
        from pgmodern.requirements import explained
        from pgmodern.terminal import leave

        ours = explained(error) if isinstance(error, ImportError) else error
        if not isinstance(ours, PgmodernError):
            raise
        leave(ours)


@contextmanager
def _engine() -> Iterator[Engine]:
    from psycopg.errors import UndefinedTable
    from sqlalchemy import event
    from sqlalchemy.exc import DBAPIError

    from pgmodern.engine import create_engine, require_server, unavailable
    from pgmodern.environment import database_url
    from pgmodern.errors import MigrationError, ServerTooOld

    def refuse_old_server(driver: Any, _: object) -> None:
        try:
            require_server(driver.info.server_version // 10_000)
        except ServerTooOld:
            driver.close()  # the pool would leave it open
            raise

    url = database_url()
    engine = create_engine(url)
    event.listen(engine, "connect", refuse_old_server)
    try:
        yield engine
    except DBAPIError as error:
        if isinstance(error.orig, UndefinedTable):
            raise MigrationError(f"A table is missing: {error.orig}", _MIGRATE) from error
        if error.connection_invalidated or not _connects(engine):
            raise unavailable(url, error) from error
        raise
    finally:
        engine.dispose()


def _connects(engine: Engine) -> bool:
    from sqlalchemy.exc import DBAPIError

    try:
        engine.connect().close()
    except DBAPIError:
        return False
    return True


@app.command(
    epilog="Examples:  pgmodern init\n\npgmodern init shop\n\npgmodern init --write\n\n"
    "pgmodern init | patch -p0"
)
def init(
    directory: Annotated[Path, typer.Argument(help="The project's folder.")] = Path(),
    write: Annotated[
        bool,
        typer.Option("--write", help="Apply the diff; the old env.py is kept."),
    ] = False,
) -> None:
    """Lay down a new project, or say which lines to change in one that has Alembic already.

    Nothing is overwritten. The lines of env.py are printed as a diff, all else on standard error;
    exit code 1 when there is a diff, and with --write 0 when it was applied.
    """
    from rich.console import Console

    from pgmodern.project import existing, new
    from pgmodern.project import report as project

    changes = existing.changes(directory)
    if changes is None:
        if write:
            raise typer.BadParameter("--write is for an Alembic project, and there is none.")
        project.laid_down(_console(), directory, new.lay_down(directory))
        return
    typer.echo(changes.diff, nl=False)
    kept = existing.apply(changes) if write and changes.diff else None
    project.found(Console(stderr=True), directory, changes, kept)
    if changes.diff and not write:
        raise typer.Exit(1)


@app.command(epilog="Example:  pgmodern check --json --models app.models:Base.metadata")
def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    models: Annotated[
        list[str],
        typer.Option(
            help="The metadata whose indexes to look for, as module:attribute; may be repeated.",
            show_default="those of the reference schemas",
        ),
    ] = REFERENCE,
) -> None:
    """Check extensions and declared indexes; exit code 1 when something is not as it should be."""
    from sqlalchemy import MetaData

    from pgmodern.doctor import examine

    metadata = [load_declared(each, MetaData, REFERENCE[0]) for each in models]
    with _engine() as engine, engine.connect() as connection:
        findings = examine(connection, metadata)
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _console().print(_table(findings))
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


@app.command(
    epilog="Examples:  pgmodern doctor\n\npgmodern doctor --json --fail-on error\n\n"
    "pgmodern doctor --only unused-index --days 90"
)
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    only: Annotated[
        list[Kind] | None,
        typer.Option(metavar="KIND", help=f"Look for this alone, or these: {', '.join(Kind)}."),
    ] = None,
    fail_on: Annotated[
        Severity, typer.Option(help="The least severity for which the exit code is 1.")
    ] = "warning",
    days: Annotated[
        int, typer.Option(min=0, help="How old the statistics must be to call an index unused.")
    ] = DAYS,
) -> None:
    """Find what is wrong with any database, and the operation that cures it; changes nothing.

    A note says what could not be looked at, and why; it is no finding.
    """
    from pgmodern.doctor import diagnose, report

    with _engine() as engine, engine.connect() as connection:
        found = diagnose(connection, kinds=only or tuple(Kind), days=days)
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], indent=2))
    else:
        report.write(_console(), found)
    if any(SEVERITIES.index(each.severity) >= SEVERITIES.index(fail_on) for each in found):
        raise typer.Exit(1)


@app.command(
    epilog="Examples:  pgmodern partition-advice --memory 64GB\n\n"
    "pgmodern partition-advice plays --json\n\npgmodern partition-advice app.plays --write"
)
def partition_advice(
    table: Annotated[str | None, typer.Argument(help="One table; without it, all.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    memory: Annotated[
        int | None,
        typer.Option(
            metavar="SIZE",
            parser=size_in_bytes,
            help="The server's memory, like 64GB; without it, its effective_cache_size.",
        ),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the revision; exit code 1 if it is not advised.")
    ] = False,
    config: Annotated[
        Path, typer.Option("--config", "-c", help="Alembic's configuration, for --write.")
    ] = Path("alembic.ini"),
    rev_id: Annotated[
        str | None, typer.Option("--rev-id", help="The revision's id, for --write.")
    ] = None,
) -> None:
    """Say whether partitioning a table pays, by what, and what it would break.

    The database is only read. Exit code 1 when it pays for any, also if something stands in the
    way; with --write, 0 when the revision was written.
    """
    from pgmodern.doctor.partitioning import partition_advice as advise
    from pgmodern.doctor.partitioning import report as advice
    from pgmodern.doctor.partitioning import revision

    if write and table is None:
        raise typer.BadParameter("--write needs a table.")
    with _engine() as engine, engine.connect() as connection:
        advised = advise(connection, table, memory=memory)
    written = [revision.write(each, config, rev_id) for each in advised if write]
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in advised], indent=2))
    else:
        advice.write(_console(), advised, in_full=table is not None)
    for path in written:
        typer.echo(f"written: {path}", err=as_json)
    if not write and any(each.verdict in {"yes", "blocked"} for each in advised):
        raise typer.Exit(1)


@app.command(
    epilog="Examples:  pgmodern lint\n\npgmodern lint base:head --format github\n\n"
    "pgmodern lint 0027:head --json --fail-on error"
)
def lint(
    revisions: Annotated[
        str | None,
        typer.Argument(
            metavar="RANGE",
            help="START:END, or one revision; without it, what the database lacks.",
        ),
    ] = None,
    form: Annotated[
        Literal["text", "json", "github"],
        typer.Option("--format", help="github: annotations of a pull request."),
    ] = "text",
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    fail_on: Annotated[
        LintSeverity, typer.Option(help="The least severity for which the exit code is 1.")
    ] = "warning",
    large: Annotated[
        int,
        typer.Option(
            min=0, metavar="ROWS", help="How many rows make a table large, where it can be asked."
        ),
    ] = LARGE,
    squawk: Annotated[
        bool, typer.Option("--squawk/--no-squawk", help="Whether to ask squawk as well.")
    ] = True,
    config: Annotated[Path, typer.Option("--config", "-c", help="Alembic's configuration.")] = Path(
        "alembic.ini"
    ),
) -> None:
    """Find what is wrong with revisions before they run; with a range, without a database."""
    from pgmodern.lint import lint as judge
    from pgmodern.lint import report as judgement

    found = judge(config, revisions, large=large, squawk=squawk)
    if as_json or form == "json":
        typer.echo(judgement.as_json(found))
    elif form == "github":
        for line in judgement.annotations(found):
            typer.echo(line)
    else:
        judgement.write(_console(), found)
    least = LINT_SEVERITIES.index(fail_on)
    if any(LINT_SEVERITIES.index(each.severity) >= least for each in found):
        raise typer.Exit(1)


_TUNED = "pgmodern.reference.audio:SampleEmbedding.vibe_hnsw"


@app.command(
    epilog=f"Examples:  pgmodern tune {_TUNED}\n\n"
    "pgmodern tune shop.models:Product.embedding_hnsw --recall 0.99 -k 50 --json"
)
def tune(
    index: Annotated[str, typer.Argument(help="The declared index, as module:Model.index.")],
    recall: Annotated[
        float, typer.Option(min=0.01, max=1, help="The part of the nearest that is to be found.")
    ] = 0.95,
    k: Annotated[int, typer.Option("-k", min=1, help="How many nearest are asked for.")] = 10,
    queries: Annotated[
        int, typer.Option(min=1, help="How many rows, at random, are asked for theirs.")
    ] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the cheapest search of an HNSW index that reaches a recall, and store it with the index.

    Each query is answered by an exact scan of the table, too. Applications use what is stored
    when they start with pgmodern.tuning.load, or declare it.
    """
    from sqlalchemy.orm import Session

    from pgmodern import tuning
    from pgmodern.indexes import HnswIndex
    from pgmodern.progress import progress

    declared = load_declared(index, HnswIndex, _TUNED)
    with (
        _engine() as engine,
        Session(engine) as session,
        progress("exact scans", queries) as advance,
    ):
        found = tuning.tune(session, declared, recall, k=k, queries=queries, advance=advance)
        session.commit()
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    used = (
        f"oversampling={found.oversampling}" if declared.coarse else f"ef_search={found.ef_search}"
    )
    typer.echo(
        f"{declared.name}: {used}, recall@{k} {found.recall:.3f}, "
        f"{found.milliseconds:.1f} ms a search (median)"
    )


D = TypeVar("D")


def load_declared(path: str, kind: type[D], example: str) -> D:
    """Return what is declared at `module:attribute`; raises SettingsError when it is not there."""
    from pgmodern.errors import SettingsError

    module, _, attribute = path.partition(":")
    like = f"Write it like {example}."
    sys.path.insert(0, str(Path.cwd()))  # where an application's own modules are
    try:
        found: Any = import_module(module)
        for name in attribute.split("."):
            found = getattr(found, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SettingsError(f"{path}: {error}", like) from error
    finally:
        sys.path.pop(0)
    if not isinstance(found, kind):
        raise SettingsError(f"{path} is no {kind.__name__}.", like)
    return found


def _console() -> Any:
    from rich.console import Console

    return Console()


def _table(findings: list[Finding]) -> Table:
    from rich.table import Table

    table = Table("", "kind", "name", "finding", box=None)
    for each in findings:
        mark = "[green]ok[/green]" if each.ok else "[red]bad[/red]"
        detail = each.detail if each.cure is None else f"{each.detail}\n{each.cure}"
        table.add_row(mark, each.kind, each.name, detail)
    return table


@app.command(epilog="Example:  alembic upgrade head && pgmodern demo")
def demo() -> None:
    """Load the sample and answer a handful of questions, with latency and index."""
    from pgmodern import demo as demonstration

    with _engine() as engine:
        demonstration.run(engine, _model("meaning"), _console())


@embed.command("ai-logs", epilog="Example:  pgmodern embed ai-logs --all")
def embed_ai_logs(
    everything: Annotated[
        bool, typer.Option("--all", help="Also embed again the logs that have changed since.")
    ] = False,
) -> None:
    """Embed the AI logs that have no embedding of the model, in batches, resumable."""
    from pgmodern import embedders, settings
    from pgmodern.reference.music import embedding

    embedder = embedders.from_settings(settings.read())
    with _engine() as engine:
        count = embedding.embed_ai_logs(engine, embedder, everything=everything)
    typer.echo(f"{count:,} AI logs embedded with {embedder.model_name}")


@embed.command("samples", epilog="Example:  pgmodern embed samples --all")
def embed_samples(
    everything: Annotated[
        bool,
        typer.Option("--all", help="Also replace embeddings of another text or another model."),
    ] = False,
) -> None:
    """Embed the audio samples that have no embedding, in batches, resumable."""
    from pgmodern import embedders, settings
    from pgmodern.reference.audio import embedding

    embedder = embedders.from_settings(settings.read())
    with _engine() as engine:
        count = embedding.embed_samples(engine, embedder, everything=everything)
    typer.echo(f"{count:,} samples embedded with {embedder.model_name}")


@app.command(epilog="Example:  pgmodern retire-embeddings 1")
def retire_embeddings(
    version: Annotated[int, typer.Argument(help="The version that is read no more.")],
) -> None:
    """Remove a version of the fragrances' embeddings in batches, resumable."""
    from pgmodern.reference.fragrance import versions

    with _engine() as engine:
        versions.retire(engine, version)
    typer.echo(f"version {version} removed")


@app.command(epilog="Example:  pgmodern serve --port 8080")
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port, 0 for a free one.")] = 8000,
) -> None:
    """Serve search over HTTP under /api/v1/; its documentation is at /docs."""
    from pgmodern.engine import create_async_engine
    from pgmodern.environment import database_url
    from pgmodern.errors import SettingsError

    try:
        import uvicorn  # an optional dependency

        from pgmodern.http import create_app
    except ModuleNotFoundError as error:
        if error.name not in {"uvicorn", "fastapi", "fastapi_offline"}:
            raise
        raise SettingsError(
            "The HTTP server is not installed.", "pip install 'pgmodern[http]'"
        ) from None
    # uvicorn ends by the signal that it got; as an exception it lets the embedded server stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # What people search for belongs in no log.
    engine = create_async_engine(database_url(), preset="web", hide_parameters=True)
    application = create_app(engine, embedder=_model("vibe"))
    uvicorn.run(application, host=host, port=port, access_log=False)


def _model(search: str) -> Embedder | None:
    """Return the model that a search needs; without one, say that there is no such search."""
    from pgmodern import embedders, settings
    from pgmodern.errors import EmbedderError

    try:
        return embedders.from_settings(settings.read())
    except EmbedderError as error:  # the other searches do without
        log.warning("There is no search by %s: %s", search, error)
        return None
