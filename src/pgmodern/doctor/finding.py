"""What a check found."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One object of the database: as it should be, or not, and then with the cure."""

    kind: Literal["extension", "index"]
    name: str
    ok: bool
    detail: str
    cure: str | None = None
