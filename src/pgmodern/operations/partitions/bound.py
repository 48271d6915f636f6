"""Where the first partition ends, and the CHECK of it that spares ATTACH its scan."""

# A time's own interval may end within the minute, and until the table is partitioned nothing can
# be written beyond the bound: the first partition lasts for another day, or another interval.
BOUND = """
    IF starting IS NOT NULL THEN
        EXECUTE format('SELECT (%L::%s)::text', starting, kind) INTO bound;
    ELSIF kind IN ('bigint', 'integer', 'smallint') THEN
        EXECUTE format('SELECT coalesce(max(%1$I)::bigint / %2$s + 2, 1) * %2$s FROM %3$s',
            key, step, origin) INTO bound;
    ELSIF extract(month FROM step::interval) <> 0 OR extract(year FROM step::interval) <> 0 THEN
        SELECT timestamp '2000-01-01' + step::interval * (1 + floor((
                extract(year FROM soon) * 12 + extract(month FROM soon) - 1 - 24000
            ) / (extract(year FROM step::interval) * 12 + extract(month FROM step::interval))))
        INTO bound FROM (SELECT now()::timestamp + interval '1 day') AS at (soon);
    ELSE  -- from a Monday
        SELECT timestamp '2000-01-03' + step::interval * (1 + floor(
            extract(epoch FROM now()::timestamp + interval '1 day' - timestamp '2000-01-03')
            / extract(epoch FROM step::interval))) INTO bound;
    END IF;
    EXECUTE format('SELECT (%L::%s)::text', bound, kind) INTO bound;
    IF kind NOT IN ('bigint', 'integer', 'smallint')
        AND (bound::timestamp <= now()::timestamp OR bound = 'infinity') THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('The first partition of %s would end at %s.', origin, bound),
            HINT = 'Let `starting` be in the future, for what is written meanwhile, and finite.';
    END IF;
"""

REFUSE_ROWS_BEYOND = """
    EXECUTE format('SELECT count(*), min(%1$I)::text, max(%1$I)::text FROM %2$s WHERE %1$I >= %3$L',
        key, origin, bound) INTO number, made, until;
    IF number > 0 THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s rows of %s are beyond the first partition, which ends at %s: '
                'their %I is from %s to %s.', number, origin, bound, key, made, until),
            HINT = 'Let `starting` be later than these, or correct them.';
    END IF;
"""

ANNOUNCE = """
    FOR each IN
        SELECT conname FROM pg_catalog.pg_constraint
        WHERE conrelid = origin AND conname LIKE 'pgmodern\\_before\\_%'
        AND conname <> 'pgmodern_before_' || bound
    LOOP
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', origin, each.conname);
    END LOOP;
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_constraint
                   WHERE conrelid = origin AND conname = 'pgmodern_before_' || bound) THEN
        -- ACCESS EXCLUSIVE; instant, as nothing is scanned
        EXECUTE format('ALTER TABLE %1$s ADD CONSTRAINT %2$I '
            'CHECK (%3$I IS NOT NULL AND %3$I < %4$L::%5$s) NOT VALID',
            origin, 'pgmodern_before_' || bound, key, bound, kind);
    END IF;
"""

FIND_CHECK = """
    check_name := (SELECT conname FROM pg_catalog.pg_constraint
               WHERE conrelid = origin AND conname LIKE 'pgmodern\\_before\\_%');
    bound := substr(check_name, octet_length('pgmodern_before_') + 1);
    IF bound IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('Somebody dropped the CHECK that keeps %s below its bound.', origin),
            HINT = 'Run again.';
    END IF;
"""

VALIDATE = f"""
    BEGIN
        -- SHARE UPDATE EXCLUSIVE
        EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', origin, check_name);
    EXCEPTION WHEN check_violation THEN
{REFUSE_ROWS_BEYOND}
        RAISE;
    END;
"""

FORGET = """
    FOR each IN SELECT conname FROM pg_catalog.pg_constraint
        WHERE conrelid = origin AND conname LIKE 'pgmodern\\_before\\_%'
    LOOP
        -- ACCESS EXCLUSIVE; instant
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', origin, each.conname);
    END LOOP;
"""
