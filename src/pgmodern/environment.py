"""`run()` is the whole of a user's env.py: connection, preflight, bounded waiting, offline SQL."""

import logging.config
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial, update_wrapper
from typing import Any, NoReturn

import psycopg
from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo, MigrationStep
from sqlalchemy import URL, Connection, Engine, MetaData, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, SingletonThreadPool, StaticPool

from pgmodern import autogenerate, embedded, operations, settings
from pgmodern.autogenerate.check_constraints import DROP_UNDECLARED
from pgmodern.autogenerate.directives import process
from pgmodern.cures import cured
from pgmodern.driver_sql import as_for_asyncpg
from pgmodern.engine import is_pooled, reflect_vectors, require_server, unavailable
from pgmodern.errors import DeclarationError, MigrationError, PgmodernError, SettingsError
from pgmodern.extensions import preflight
from pgmodern.indexes import required_extensions
from pgmodern.locks import (
    Bounds,
    Driver,
    LockPolicy,
    bound,
    bounded,
    driver,
    milliseconds,
    patiently,
    plain_cursors,
)
from pgmodern.operations.created import RECORD
from pgmodern.operations.literal import POLICY
from pgmodern.operations.replaced_column import is_own_name
from pgmodern.revisions import Heads, Steps, plan, void_after
from pgmodern.runner import after_the_last, alone, require_alone, require_another, shared
from pgmodern.session import settled
from pgmodern.terminal import is_alembic_command, leave
from pgmodern.unfinished import STATE, drop_state, forget_revisions, keeping

log = logging.getLogger("pgmodern")

OPTIONS = {
    "compare_server_default",
    "compare_type",
    "include_name",
    "include_object",
    "include_schemas",
    "process_revision_directives",
    "render_item",
    "user_module_prefix",
    "version_table",
    "version_table_pk",
    "version_table_schema",
}
"""What `run()` takes for Alembic's `configure()`; all else is its own."""


def run(
    target_metadata: MetaData | Sequence[MetaData],
    *,
    policy: LockPolicy | None = None,
    drop_undeclared: bool = False,
    **options: Any,
) -> None:
    """Run the Alembic command that loaded env.py against the configured database.

    The database is what the settings name, or the engine or connection that a program put into
    `config.attributes["connection"]`. Before an upgrade, the server and every extension that the
    metadata needs are checked, so that nothing is begun that cannot be ended.

    Of several runs at once one migrates and the others wait for it. Each wait for a lock is
    bounded by the policy: a revision that cannot have one undoes itself and is tried again.
    `-x lock-timeout=SECONDS` and `-x lock-deadline=SECONDS` change the policy for once, a program
    sets `config.attributes["lock_policy"]`. `-x dry-run=true` shows the plan and changes nothing.

    What a revision gives to `exec_driver_sql` is what psycopg takes. It is what asyncpg takes (`%`
    is a sign like any other, parameters are `$1`) where the settings' URL names asyncpg, which says
    nothing of a connection that is given, or where `config.attributes["driver"]` does.

    Autogenerate compares the schemas that the metadata names. A CHECK constraint that no model
    declares stays, unless `drop_undeclared` asks for the opposite. The `options` are those of
    Alembic's `configure()` that are in OPTIONS; raises SettingsError for any other.

    From the command line an error is one message and exit code 1; a program gets it raised.
    """
    operations.register()
    autogenerate.register()
    try:
        require_metadata(target_metadata)
        _configure_logging()
        policy = _policy(policy or LockPolicy())
        given = _given(target_metadata, options) | {DROP_UNDECLARED: drop_undeclared}
        if context.is_offline_mode():
            _run_offline(given, policy)
        else:
            with cured(), _connection() as connection:
                _run_online(connection, given, policy)
    except PgmodernError as error:
        if not is_alembic_command():
            raise
        leave(error)


def _configure_logging() -> None:
    config = context.config
    if config.cmd_opts is None or config.config_file_name is None:
        return
    if config.file_config.has_section("loggers"):  # not so where pyproject.toml is all there is
        logging.config.fileConfig(config.config_file_name, disable_existing_loggers=False)


def _given(
    target_metadata: MetaData | Sequence[MetaData], options: dict[str, Any]
) -> dict[str, Any]:
    """Return what Alembic is configured with in any mode."""
    if others := options.keys() - OPTIONS:
        raise SettingsError(
            f"environment.run() does not take {', '.join(sorted(others))}.",
            f"Of Alembic's configure() it takes {', '.join(sorted(OPTIONS))}.",
        )
    schemas = _schemas(target_metadata)
    return {
        "target_metadata": target_metadata,
        "transaction_per_migration": True,
        "include_schemas": schemas != {None},
        **options,
        "include_name": partial(is_included, schemas, options),
    }


def _run_offline(given: dict[str, Any], policy: LockPolicy) -> None:
    ours: dict[str, Any] = given | {
        "dialect_name": "postgresql",
        "literal_binds": True,
        "dialect_opts": {"paramstyle": "named"},
        POLICY: policy,
    }
    context.configure(**ours)
    steps = partial(_checked_steps, context.get_context().opts["fn"])
    context.configure(**ours, fn=steps)
    context.execute(f"SET lock_timeout = '{milliseconds(policy.timeout)}'")
    with context.begin_transaction():
        context.run_migrations()


def _run_online(connection: Connection, given: dict[str, Any], policy: LockPolicy) -> None:
    ours = given | {"connection": connection}
    reflect_vectors(connection.dialect)
    context.configure(**ours)
    options = context.get_context().opts
    if "destination_rev" not in options:  # current, check, revision: nothing is changed
        _compare(connection, ours)
        return
    _require_direct(connection)
    if _is_dry_run():
        context.configure(**ours, fn=partial(_show_plan, options["fn"]))
        _run_migrations()
        return
    with _migrating(connection, policy) as (observer, held):
        _check_before_upgrade(connection, given["target_metadata"])
        steps = partial(_bounded_steps, options["fn"], connection, observer)
        context.configure(**ours, fn=steps, on_version_apply=_forget)
        _run_migrations()
        connection.rollback()
        drop_state(connection)
        for name, seconds in held.waited.items():
            log.info("waited %.1f s in all for %s", seconds, name)


def _compare(connection: Connection, ours: dict[str, Any]) -> None:
    """Run what compares, or only reads; what a hook of the application's says goes first."""
    theirs = ours.get("process_revision_directives")
    hooks = [each for each in (theirs, process) if each is not None]
    context.configure(**ours | {"process_revision_directives": partial(_process, hooks)})
    with plain_cursors(connection):
        _run_migrations()


def _process(hooks: Sequence[Callable[..., None]], *given: Any) -> None:
    for hook in hooks:
        hook(*given)


@contextmanager
def _migrating(connection: Connection, policy: LockPolicy) -> Iterator[tuple[Driver, Bounds]]:
    """Have the connection be the one that migrates, bounded by the policy, while the body runs."""
    written_for_asyncpg = _written_for() == "asyncpg"
    with (
        plain_cursors(connection),
        as_for_asyncpg(connection) if written_for_asyncpg else nullcontext(),
        settled(connection, policy),
        alone(connection.engine, driver(connection)) as observer,
        after_the_last(connection),
        bound(connection, policy, observer) as held,
    ):
        yield observer, held


def _written_for() -> str:
    """Return the driver for which revisions are written that say something to the driver itself."""
    attributes = context.config.attributes
    is_given = attributes.get("connection") is not None
    default = settings.DRIVERS[0] if is_given else settings.read().driver
    driver = str(attributes.get("driver", default))
    if driver not in settings.DRIVERS:
        raise SettingsError(
            f"There is no driver {driver!r} for revisions.",
            f"Use one of {', '.join(settings.DRIVERS)}.",
        )
    return driver


def _is_dry_run() -> bool:
    asked = _x_argument("dry-run")
    if asked is None:
        return False
    if asked not in {"true", "false"}:
        raise SettingsError(f"-x dry-run={asked} is neither true nor false.", "-x dry-run=true")
    return asked == "true"


def _policy(policy: LockPolicy) -> LockPolicy:
    policy = context.config.attributes.get("lock_policy", policy)
    asked = {"timeout": _x_argument("lock-timeout"), "deadline": _x_argument("lock-deadline")}
    given = {name: _seconds(name, text) for name, text in asked.items() if text is not None}
    return replace(policy, **given)


def _x_argument(name: str) -> str | None:
    return context.get_x_argument(as_dictionary=True).get(name)


def _seconds(name: str, given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise SettingsError(f"-x lock-{name}={given} is no number of seconds.", "-x lock-timeout=1")
    return seconds


def _run_migrations() -> None:
    with context.begin_transaction():
        context.run_migrations()


def _checked_steps(steps: Steps, heads: Heads, migration: MigrationContext) -> list[MigrationStep]:
    """Return the steps of a script, unless one of them is mixed."""
    return [planned.step for planned in plan(steps, heads, migration)]


def _show_plan(steps: Steps, heads: Heads, migration: MigrationContext) -> list[MigrationStep]:
    """Print what would be done, and return nothing to do."""
    for planned in plan(steps, heads, migration):
        for line in planned.lines():
            context.config.print_stdout("%s", line)
    return []


def _bounded_steps(
    steps: Steps,
    connection: Connection,
    runner: Driver,
    heads: Heads,
    migration: MigrationContext,
) -> list[MigrationStep]:
    """Return the steps, made to wait for locks by the policy and to say how long they took."""
    planned = plan(steps, heads, migration)
    for each in planned:
        step, run = each.step, each.step.migration_fn
        if each.kind == "transactional":
            run = partial(_run_from_savepoint, connection, step.short_log, run)
        else:
            run = partial(_run_keeping, connection, step.revision.revision, run)
        run = partial(_run_timed, runner, step.short_log, run)
        step.migration_fn = update_wrapper(run, step.migration_fn)  # Alembic asks for its name
    return [each.step for each in planned]


def _run_from_savepoint(
    connection: Connection, what: str, run: Callable[..., None], **kw: Any
) -> None:
    """Run a revision in a savepoint, so that one that cannot have a lock lets go of all it had."""

    def attempt(timeout: float) -> None:
        with connection.begin_nested(), _transactional(what):
            connection.execute(text(bounded(timeout)))
            run(**kw)

    patiently(connection, what, attempt)


@contextmanager
def _transactional(what: str) -> Iterator[None]:
    """Refuse what would commit, in a revision whose source did not show it: see `revisions`."""

    def refuse() -> NoReturn:
        raise MigrationError(
            f"{what}: an online operation, called by what the revision imports or keeps in a list, "
            "in a revision that runs in a transaction.",
            "Nothing of it was done. Call online operations in upgrade() and downgrade() "
            "themselves, or in functions of the revision's own file, and nothing else there.",
        )

    migration = context.get_context()
    migration.autocommit_block = refuse  # type: ignore[method-assign]
    try:
        yield
    finally:
        del migration.autocommit_block


def _run_keeping(
    connection: Connection, revision: str, run: Callable[..., None], **kw: Any
) -> None:
    with keeping(connection, revision):
        run(**kw)


def _run_timed(runner: Driver, what: str, run: Callable[..., None], **kw: Any) -> None:
    require_alone(runner)
    started = time.monotonic()
    run(**kw)
    log.info("%s: %.1f s", what, time.monotonic() - started)


def _forget(
    ctx: MigrationContext,
    step: MigrationInfo,
    heads: Collection[Any],  # noqa: ARG001
    run_args: Mapping[str, Any],  # noqa: ARG001
) -> None:
    assert ctx.connection is not None
    forget_revisions(ctx.connection, void_after(step))


def _require_direct(connection: Connection) -> None:
    """Raise MigrationError behind a pooler: its sessions are not ours, nor are their locks."""
    session = driver(connection)
    found = is_pooled(session)
    session.rollback()
    if found:
        raise MigrationError(
            "Between this connection and the server stands a pooler, such as PgBouncer.",
            "Migrations need a direct connection: their locks and settings are a session's. Let "
            "DATABASE_URL name the server itself for alembic.",
        )


def require_metadata(given: object) -> None:
    """Raise DeclarationError where what is given is neither metadata nor several of them."""
    several = [given] if isinstance(given, MetaData) else given
    if not isinstance(several, Sequence) or not all(isinstance(m, MetaData) for m in several):
        raise DeclarationError(
            f"environment.run() is given {given!r}, which is no metadata.",
            "Pass that of your models: run(Base.metadata), or a list of several.",
        )


def _schemas(target_metadata: MetaData | Sequence[MetaData]) -> set[str | None]:
    """Return the schemas that the metadata names; None is the one that tables are created in."""
    several = [target_metadata] if isinstance(target_metadata, MetaData) else target_metadata
    named = {table.schema for each in several for table in each.tables.values()}
    return named or {None}


def is_included(
    schemas: set[str | None],
    options: Mapping[str, Any],
    name: str | None,
    type_: str,
    parents: Any,
) -> bool:
    """Tell whether autogenerate compares it: what is the application's, and wanted.

    Of schemas those that the metadata names, unless `include_schemas` asks for all.
    """
    wanted = options.get("include_name")
    if wanted is not None and not wanted(name, type_, parents):
        return False
    if type_ == "schema":
        default = context.get_context().dialect.default_schema_name
        named = {name, default} if name is None else {name}
        return bool(named & schemas or options.get("include_schemas"))
    return is_application_s(name, type_, parents)


def is_application_s(name: str | None, type_: str, _parents: object) -> bool:
    """Tell what is the application's from what the migrations keep for themselves."""
    if type_ == "column":
        return name is None or not is_own_name(name)
    return not (type_ == "table" and name in {STATE, RECORD})


def _check_before_upgrade(
    connection: Connection, target_metadata: MetaData | Sequence[MetaData]
) -> None:
    migration = context.get_context()
    steps = migration.opts["fn"]
    if getattr(steps, "__name__", None) != "upgrade":
        return
    try:
        pending = plan(steps, migration.get_current_heads(), migration)
        if pending:
            require_server(driver(connection).info.server_version // 10_000)
            called = {call.directive for planned in pending for call in planned.calls}
            needed = required_extensions(target_metadata)
            preflight(connection, needed, updating="update_extension" in called)
    finally:
        connection.rollback()


@contextmanager
def _connection() -> Iterator[Connection]:
    given = context.config.attributes.get("connection")
    if isinstance(given, Connection):
        if given.in_transaction():
            raise MigrationError(
                "The connection given to Alembic is in a transaction.",
                "Commit it before, or give an engine: each revision commits for itself.",
            )
        _require_transactions(given)
        try:
            yield given
        finally:
            given.rollback()
        return
    if isinstance(given, Engine) and given.dialect.is_async:
        raise _unusable(f"an engine of asynchronous {given.dialect.driver}")
    if given is not None and not isinstance(given, Engine):
        raise _unusable(f"a {type(given).__name__}")
    engine = (
        given
        if isinstance(given, Engine)
        else create_engine(settings.without_pgbouncer(database_url()), poolclass=NullPool)
    )
    if isinstance(engine.pool, StaticPool | SingletonThreadPool):
        raise shared()
    try:
        connection = engine.connect()
    except (DBAPIError, psycopg.Error, UnicodeError) as error:
        raise unavailable(engine.url, error) from error
    if engine is given:
        _require_another(connection)
    with connection:
        _require_transactions(connection)
        try:
            yield connection
        finally:
            connection.invalidate()  # a session with what revisions set must not go back to a pool


def _unusable(given: str) -> MigrationError:
    return MigrationError(
        f"What was given to Alembic as its connection is {given}.",
        "Give a synchronous SQLAlchemy Engine or Connection, on the psycopg driver; or give none, "
        "and let DATABASE_URL name the database.",
    )


def _require_another(connection: Connection) -> None:
    try:
        require_another(connection.engine, driver(connection))
    except MigrationError:
        connection.detach()  # closed, it would be rolled back, and it is somebody else's
        raise


def _require_transactions(connection: Connection) -> None:
    if driver(connection).autocommit:
        raise MigrationError(
            "The connection given to Alembic is in AUTOCOMMIT.",
            "Give one that is not, or an engine: revisions need transactions.",
        )


def database_url() -> URL:
    """Return where the database is, starting the embedded server when no other is named."""
    configured = settings.read()
    return configured.url or embedded.start(configured.home)
