"""`make demo`: from nothing to an answer, on no database that somebody works with.

It runs on the embedded server, whatever the environment or `.env` names. `DEMO_URL` names another.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import URL

from pgmodern import embedded, settings, terminal
from pgmodern.errors import PgmodernError

ROOT = Path(__file__).parents[1]
NAMING = ("DATABASE_URL", "POSTGRES_")
COMMANDS = (["alembic", "upgrade", "head"], ["pgmodern", "demo"])


def main() -> None:
    """Migrate the database and run the demo; an error of ours is one message."""
    try:
        url = database(os.environ, ROOT)
    except PgmodernError as error:
        terminal.leave(error)
    variables = {"DATABASE_URL": url.render_as_string(hide_password=False)}
    for command in COMMANDS:
        run = [sys.executable, "-m", *command]
        if code := subprocess.run(
            run, cwd=ROOT, env=os.environ | variables, check=False
        ).returncode:
            raise SystemExit(code)


def database(environ: Mapping[str, str], directory: Path) -> URL:
    """Return the database that was asked for, else start the embedded server."""
    if asked := environ.get("DEMO_URL"):
        return settings.parse_url(asked)
    others = {name: value for name, value in environ.items() if not name.startswith(NAMING)}
    read = settings.read(others, directory)
    if len(others) < len(environ) or read.url is not None:
        sys.stdout.write(
            "DATABASE_URL, or POSTGRES_*, names a database. The demo leaves it alone and uses the "
            "embedded server.\nTo have it use another one: make demo DEMO_URL=postgresql://...\n"
        )
        sys.stdout.flush()
    return embedded.start(read.home)


if __name__ == "__main__":
    main()
