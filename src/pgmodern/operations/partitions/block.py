"""The PL/pgSQL that stands around every step: its variables, its settings, what is there already.

A refusal is raised as object_not_in_prerequisite_state, its cause the message, its cure the hint.
"""

from string import Template

BLOCK = Template("""DO $$pgmodern$$
DECLARE
    named CONSTANT text := $named;
    key CONSTANT text := $key;
    step text := $step;
    ahead CONSTANT int := $ahead;
    starting CONSTANT text := $starting;
    if_possible CONSTANT boolean := $if_possible;
    origin CONSTANT regclass := to_regclass(named);
    settings CONSTANT jsonb := (
        SELECT jsonb_object_agg(name, setting) FROM pg_catalog.pg_settings
        WHERE name IN
            ('search_path', 'TimeZone', 'DateStyle', 'default_tablespace', 'lock_timeout',
                'row_security'));
    own pg_catalog.pg_class;      -- the table, as it was when the block began
    base text;                    -- its name
    place text;                   -- its schema
    kind text;                    -- the type of the key
    bound text;                   -- where the first partition ends
    reached text;                 -- up to where the key has come; NULL for below every partition
    check_name text;              -- the name of the CHECK that spares ATTACH its scan
    parent regclass;              -- the partitioned table
    pattern regclass;             -- the partition whose storage parameters the next ones take
    giver regclass;               -- what grants, triggers and sequences are carried from,
    taker regclass;               -- and to
    triggers jsonb;
    indexes jsonb;
    facts jsonb;                  -- its extended statistics
    since text;                   -- where a partition begins,
    until text;                   -- and ends
    beyond bigint := 0;
    is_beyond boolean;
    cause text;
    cure text;
    each record;
    made text;
    number bigint;
    budget int;
    called boolean;
BEGIN
    PERFORM set_config('search_path', '', true), set_config('TimeZone', 'UTC', true),
        set_config('DateStyle', 'ISO, YMD', true), set_config('lock_timeout', $timeout, true),
        set_config('row_security', 'off', true);  -- an error rather than rows that are not seen
    SELECT * INTO own FROM pg_catalog.pg_class WHERE oid = origin;
    base := own.relname;
    place := (SELECT nspname FROM pg_catalog.pg_namespace WHERE oid = own.relnamespace);
    IF origin IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('There is no table %s.', named),
            HINT = 'Create it first, or name its schema.';
    END IF;
<<work>>
BEGIN
$body
END work;
    PERFORM set_config(saved.name, saved.setting, true)
    FROM jsonb_each_text(settings) AS saved (name, setting);
END
$$pgmodern$$""")

KIND = """
    kind := (SELECT atttypid::regtype::text FROM pg_catalog.pg_attribute
             WHERE attrelid = origin AND attname = key AND attnum > 0 AND NOT attisdropped);
"""

RESOLVE = (
    """
    -- Partitioned by this column already: there is nothing to do.
    EXIT work WHEN EXISTS (
        SELECT FROM pg_catalog.pg_partitioned_table AS divided
        JOIN pg_catalog.pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
        WHERE partrelid = origin AND partstrat = 'r' AND partnatts = 1
        AND (attname = key OR key = ''));
"""
    + KIND
)
