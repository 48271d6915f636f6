"""How an error reaches a terminal: as one message, and exit code 1."""

import sys
from typing import NoReturn

from pgmodern.errors import PgmodernError


def leave(error: PgmodernError) -> NoReturn:
    """End the process with an error's message."""
    sys.stderr.write(f"error: {error}\n")
    raise SystemExit(1) from None


def is_alembic_command() -> bool:
    """Tell whether Alembic's command line runs, and not a program."""
    context = sys.modules.get("alembic.context")
    config = getattr(context, "config", None)
    return config is not None and config.cmd_opts is not None
