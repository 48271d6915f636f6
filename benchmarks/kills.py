"""Every operation killed before every one of its statements, in both ways."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Engine

from benchmarks.dataset import Dataset
from benchmarks.report import Figure, Report
from tools import reports
from tools.suite import ROOT


def ask(_engine: Engine, _dataset: Dataset) -> Report:
    """Run the proofs by killing with --every-statement, which CI samples."""
    with TemporaryDirectory() as folder:
        report = Path(folder) / "kills.xml"
        options = ["-m", "kills", "--every-statement", "-o", "timeout=0", f"--junit-xml={report}"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--postgres=embedded", "-q", *options],
            cwd=ROOT,
            check=False,
        )
        proved = reports.read(report)
    figures = [Figure("runs of pytest that failed", int(done.returncode != 0), "", at_most=0)]
    for what, (survived, kills) in proved.survived.items():
        figures.append(Figure(what, survived, "", baseline=kills, at_least=kills))
    return Report(
        "Killed before every statement, run again", "kills", figures, ["survived, of how many"]
    )
