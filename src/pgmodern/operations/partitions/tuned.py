"""What is set for the statistics of single columns, and not copied by LIKE."""


def tuned(source: str, target: str) -> str:
    """Return the SQL that sets the target's columns as the source's; both name a variable."""
    return f"""
    FOR each IN
        SELECT attname, (to_jsonb(a) ->> 'attstattarget')::int AS target, (
            SELECT string_agg(option, ', ') FROM unnest(attoptions) AS option
            WHERE option LIKE 'n\\_distinct%') AS options
        FROM pg_catalog.pg_attribute AS a
        WHERE attrelid = {source} AND attnum > 0 AND NOT attisdropped
    LOOP
        IF each.target >= 0 THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s',
                {target}, each.attname, each.target);
        END IF;
        IF each.options IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET (%s)',
                {target}, each.attname, each.options);
        END IF;
    END LOOP;
"""
