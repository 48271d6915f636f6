"""What partitions, and their indexes, are called: after the bound that they begin or end at."""


def fitted(base: str, suffix: str) -> str:
    """Return the SQL of a name of at most 63 bytes: where it is cut, a digest tells it apart."""
    cut = f"octet_length({suffix}) + 9"
    return (
        f"CASE WHEN octet_length({base} || {suffix}) <= 63 THEN {base} || {suffix} "
        # A cast to name cuts after 63 bytes, between characters.
        f"ELSE substr((repeat('x', {cut}) || {base})::name::text, {cut} + 1) "
        f"|| '_' || left(md5({base}), 8) || {suffix} END"
    )


def named_after(bound: str) -> str:
    """Return the SQL of a bound as it stands in a name: 20261201, 4000, minus_1000."""
    return (
        "CASE WHEN kind IN ('bigint', 'integer', 'smallint') "
        f"THEN replace({bound}, '-', 'minus_') "
        f"ELSE regexp_replace(regexp_replace({bound}, '( 00:00:00)?([+]00)?$', ''), "
        "'[^0-9]', '', 'g') END"
    )
