"""Names of ours, made from those of the application's own objects."""

import hashlib

_BYTES = 63


def fitting(name: str) -> str:
    """Return the name, or what tells it from every other when PostgreSQL would cut it off."""
    return name if len(name.encode()) <= _BYTES else derived(name)


def derived(name: str, kind: str = "", *of: str) -> str:
    """Return a name for something of ours that belongs to the application's.

    Its digest tells `a_b` + `c` from `a` + `b_c`, and long names that start alike.
    """
    digest = hashlib.sha256("\0".join(of or [name]).encode()).hexdigest()[:8]
    ending = f"_{kind}_{digest}" if kind else f"_{digest}"
    return f"{name.encode()[: _BYTES - len(ending)].decode(errors='ignore')}{ending}"
