"""Runs commands as forks of a process that has imported the libraries which they import.

A Python that starts an Alembic command imports SQLAlchemy, Alembic, psycopg and numpy for two
thirds of a second. Here they are imported once. Nothing of pgmodern is, and no test: a command
imports it, in a process of its own, with its own environment, folder, output and exit code.

A request is a line of JSON on standard input; the answers are the process id and the exit code.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import sys
import traceback
from typing import Any

LIBRARIES = (
    *("alembic.command", "alembic.config", "dotenv", "numpy", "pgvector.sqlalchemy", "psycopg"),
    *("rich.console", "rich.progress", "rich.table", "sqlalchemy.dialects.postgresql.psycopg"),
    *("sqlalchemy.ext.asyncio", "sqlalchemy.orm", "typer"),
)


def main() -> None:
    """Answer until standard input ends."""
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # else a collection in a fork copies every page of what was imported
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _run(json.loads(line))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _run(request: dict[str, Any]) -> None:
    """Be the command; does not return."""
    for descriptor, path in ((0, os.devnull), (1, request["stdout"]), (2, request["stderr"])):
        opened = os.open(path, os.O_RDWR)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    _measure()
    sys.argv = request["argv"]
    code: object = 0
    try:
        if request["module"] is not None:
            sys.path[0] = request["cwd"]
            runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = os.path.dirname(sys.argv[0])  # noqa: PTH120 (as Python itself does)
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    except BaseException:  # noqa: BLE001  (as Python itself does)
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)


def _measure() -> None:
    """Have coverage measure the command where it measures the tests."""
    if any(name.startswith("COVERAGE_PROCESS") for name in os.environ):
        import coverage

        coverage.process_startup()


if __name__ == "__main__":
    main()
