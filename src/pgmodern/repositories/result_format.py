"""Which results come in binary without being another value than the text would give.

psycopg decodes most of PostgreSQL's types alike from both. Not all: what it does not know (an
enumeration, citext, a composite type) it gives as bytes, and a `real` as the double that is nearest
to it, where the text has as few digits as tell it from others. And an application may have put a
decoder of its own in the place of psycopg's.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from psycopg import postgres
from psycopg.adapt import AdaptersMap
from psycopg.pq import Format
from sqlalchemy.types import TypeDecorator, TypeEngine

from pgmodern.types import VectorType

REAL = postgres.types["float4"].oid
_NAMES = (
    *("bool", "bytea", "date", "float4", "float8", "int2", "int4", "int8", "json", "jsonb"),
    *("numeric", "text", "time", "timestamp", "timestamptz", "uuid", "varchar"),
)
_ARRAYS = ("int2", "int4", "int8", "float8", "numeric", "text", "varchar", "bool", "uuid")
_KNOWN = frozenset(postgres.types[name].oid for name in _NAMES)
_KNOWN_ARRAYS = {postgres.types[name].array_oid: postgres.types[name].oid for name in _ARRAYS}
_BIT = postgres.types["bit"].oid
_FIRST_OF_EXTENSIONS = 16_384  # PostgreSQL's FirstNormalObjectId, in access/transam.h


def is_same_in_binary(
    kinds: Sequence[TypeEngine[Any]], oids: Sequence[int], adapters: AdaptersMap
) -> bool:
    """Tell whether every column of a result would be the same value, had it come in binary.

    `kinds` are the columns' types in SQLAlchemy, `oids` what the server calls them.
    """
    pairs = zip(kinds, oids, strict=True)
    return all(_is_ours(kind, oid) or _is_known(oid, adapters) for kind, oid in pairs)


def _is_ours(kind: TypeEngine[Any], oid: int) -> bool:
    """Tell whether a type of ours decodes the column; it takes both formats."""
    while isinstance(kind, TypeDecorator):
        kind = kind.impl_instance
    return isinstance(kind, VectorType) and (oid >= _FIRST_OF_EXTENSIONS or oid == _BIT)


def _is_known(oid: int, adapters: AdaptersMap) -> bool:
    oid = _KNOWN_ARRAYS.get(oid, oid)
    if oid not in _KNOWN or (psycopg_s := _loaders_of_psycopg()) is None:
        return False
    for form in (Format.TEXT, Format.BINARY):
        ours, theirs = adapters.get_loader(oid, form), psycopg_s.get_loader(oid, form)
        # A decoder of JSON that the application named is a subclass, for both formats.
        if ours is None or theirs is None or not issubclass(ours, theirs):
            return False
    return True


@cache
def _loaders_of_psycopg() -> AdaptersMap | None:
    """Return the decoders that psycopg begins with; None where it no longer says."""
    try:
        adapters = AdaptersMap(types=postgres.types)
        postgres.register_default_adapters(adapters)
    except (AttributeError, TypeError):
        return None
    return adapters


def shortest(value: float | None) -> float | None:
    """Return what the text of a `real` reads as."""
    return None if value is None else float(str(np.float32(value)))
