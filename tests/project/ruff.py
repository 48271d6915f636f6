"""What ruff says of a project by default, and of the order of its imports."""

import subprocess
import sys
from pathlib import Path


def assert_ruff_accepts(folder: Path) -> None:
    """Fail with what ruff would change in a project, whatever the configuration around it."""
    for command in (["check", "--select=E4,E7,E9,F,I"], ["format", "--diff"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--isolated", "--no-cache"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
