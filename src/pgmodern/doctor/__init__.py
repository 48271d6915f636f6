"""Checks of a live database, one per file.

`examine` looks for what an application's models declare; `diagnose` needs no models.
"""

from typing import TYPE_CHECKING

from pgmodern.lazy import attributes

if TYPE_CHECKING:
    from pgmodern.doctor.checks import diagnose, examine
    from pgmodern.doctor.diagnosis import Diagnosis, Kind, Severity
    from pgmodern.doctor.finding import Finding

__all__ = ["Diagnosis", "Finding", "Kind", "Severity", "diagnose", "examine"]

__getattr__ = attributes(
    __name__,
    {
        "Diagnosis": "pgmodern.doctor.diagnosis",
        "Finding": "pgmodern.doctor.finding",
        "Kind": "pgmodern.doctor.diagnosis",
        "Severity": "pgmodern.doctor.diagnosis",
        "diagnose": "pgmodern.doctor.checks",
        "examine": "pgmodern.doctor.checks",
    },
)
