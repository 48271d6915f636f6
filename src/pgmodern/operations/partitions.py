"""The PL/pgSQL that makes a table the first partition of itself, extends it, and takes it back.

Each block is a transaction that decides in the database, so that an offline script does the same.
A refusal is raised as object_not_in_prerequisite_state, its cause the message, its cure the hint.
"""

from dataclasses import dataclass
from string import Template

from pgmodern.indexes.catalogue import quoted
from pgmodern.locks import milliseconds
from pgmodern.operations.literal import string


@dataclass(frozen=True, slots=True)
class Table:
    """The table that a block is about, and how it is divided: what the blocks are told."""

    name: str
    schema: str | None = None
    column: str = ""
    interval: str = ""
    ahead: int = 0
    starting: str | None = None

    def refuse(self, timeout: float) -> str:
        """The block that raises unless the table can be partitioned; it only reads."""
        return self._block(timeout, _RESOLVE, _REFUSE, _BOUND, _REFUSE_ROWS_BEYOND)

    def announce(self, timeout: float) -> str:
        """The block that adds the CHECK not validated; ACCESS EXCLUSIVE for an instant."""
        return self._block(timeout, _RESOLVE, _BOUND, _ANNOUNCE)

    def validate(self, timeout: float) -> str:
        """The block that proves the CHECK: a scan under SHARE UPDATE EXCLUSIVE."""
        return self._block(timeout, _RESOLVE, _FIND_CHECK, _VALIDATE)

    def swap(self, timeout: float) -> str:
        """The block that puts a partitioned table in the table's place; ACCESS EXCLUSIVE."""
        return self._block(
            timeout,
            _RESOLVE,
            _FIND_CHECK,
            _KEEP_AS_IT_IS,
            _REFUSE,
            _PREPARE_PARENT,
            _MOVE_INDEXES,
            _EXTEND,
            _LOCK_TABLE,
            _REFUSE_USED,
            _CARRY,
            _EXCHANGE,
            _ATTACH,
            _CREATE_TRIGGERS,
        )

    def forget(self, timeout: float) -> str:
        """The block that drops the CHECK of a table that is not partitioned yet."""
        return self._block(timeout, _RESOLVE, _FORGET)

    def extend(self, timeout: float) -> str:
        """The block that makes the partitions that are missing; SHARE UPDATE EXCLUSIVE."""
        return self._block(timeout, _FIND_LAST, _EXTEND)

    def take_back(self, timeout: float) -> str:
        """The block that puts the first partition in the place of all; ACCESS EXCLUSIVE."""
        return self._block(
            timeout,
            _FIND_FIRST,
            _LOCK_PARTITIONS,
            _REFUSE_USED,
            _DETACH,
            _CARRY,
            _TAKE_PLACE,
            _CREATE_TRIGGERS,
        )

    def _block(self, timeout: float, *parts: str) -> str:
        starting = "NULL" if self.starting is None else string(self.starting)
        return _BLOCK.substitute(
            named=string(quoted(self.name, self.schema)),
            name=string(self.name),
            key=string(self.column),
            step=string(self.interval),
            ahead=self.ahead,
            starting=starting,
            timeout=string(milliseconds(timeout)),
            body="".join(parts),
        )


def _fitted(base: str, suffix: str) -> str:
    """Return the SQL of a name of at most 63 bytes: where it is cut, a digest tells it apart."""
    cut = f"octet_length({suffix}) + 9"
    return (
        f"CASE WHEN octet_length({base} || {suffix}) <= 63 THEN {base} || {suffix} "
        # A cast to name cuts after 63 bytes, between characters.
        f"ELSE substr((repeat('x', {cut}) || {base})::name::text, {cut} + 1) "
        f"|| '_' || left(md5({base}), 8) || {suffix} END"
    )


_BLOCK = Template("""DO $$pgmodern$$
DECLARE
    named CONSTANT text := $named;
    key CONSTANT text := $key;
    step text := $step;
    ahead CONSTANT int := $ahead;
    starting CONSTANT text := $starting;
    origin CONSTANT regclass := to_regclass(named);
    settings CONSTANT jsonb := (
        SELECT jsonb_object_agg(name, setting) FROM pg_catalog.pg_settings
        WHERE name IN
            ('search_path', 'TimeZone', 'DateStyle', 'default_tablespace', 'lock_timeout'));
    own pg_catalog.pg_class;      -- the table, as it was when the block began
    base text;                    -- its name
    place text;                   -- its schema
    kind text;                    -- the type of the key
    bound text;                   -- where the first partition ends
    reached text;                 -- up to where the key has come; NULL for below every partition
    helper text;                  -- the name of the CHECK that spares ATTACH its scan
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
        set_config('DateStyle', 'ISO, YMD', true), set_config('lock_timeout', $timeout, true);
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

_KIND = """
    kind := (SELECT atttypid::regtype::text FROM pg_catalog.pg_attribute
             WHERE attrelid = origin AND attname = key AND attnum > 0 AND NOT attisdropped);
"""

_RESOLVE = (
    """
    -- Partitioned by this column already: there is nothing to do.
    EXIT work WHEN EXISTS (
        SELECT FROM pg_catalog.pg_partitioned_table AS divided
        JOIN pg_catalog.pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
        WHERE partrelid = origin AND partstrat = 'r' AND partnatts = 1
        AND (attname = key OR key = ''));
"""
    + _KIND
)

_USED = """
        SELECT 'it is used by ' || string_agg(DISTINCT used.by, ', ') AS cause,
            'Drop that first, in a revision before this one, and create it again afterwards: it '
            'follows the table, which will be a part of itself.' AS cure
        FROM (
            SELECT pg_describe_object(classid, objid, objsubid) AS by FROM pg_catalog.pg_depend AS d
            WHERE refclassid = 'pg_catalog.pg_class'::regclass AND refobjid = origin
            AND objid <> origin AND deptype IN ('n', 'a', 'i') AND NOT (CASE classid
                WHEN 'pg_catalog.pg_type'::regclass THEN objid = own.reltype
                WHEN 'pg_catalog.pg_attrdef'::regclass THEN true
                WHEN 'pg_catalog.pg_trigger'::regclass THEN true
                WHEN 'pg_catalog.pg_statistic_ext'::regclass THEN true
                WHEN 'pg_catalog.pg_constraint'::regclass THEN EXISTS (
                    SELECT FROM pg_catalog.pg_constraint
                    WHERE oid = objid AND conrelid = origin AND confrelid <> origin)
                WHEN 'pg_catalog.pg_class'::regclass THEN EXISTS (
                    SELECT FROM pg_catalog.pg_class
                    WHERE oid = objid AND (relkind IN ('i', 'I', 'S', 't') OR relispartition))
                ELSE false END)
        UNION
            SELECT pg_describe_object(classid, objid, objsubid)
            FROM pg_catalog.pg_type AS row_type
            JOIN pg_catalog.pg_depend AS d ON refclassid = 'pg_catalog.pg_type'::regclass
                AND refobjid IN (row_type.oid, row_type.typarray) AND deptype = 'n'
            WHERE row_type.oid = own.reltype
        ) AS used
        HAVING count(*) > 0
"""

_REFUSE_USED = (
    """
    SELECT refusal.cause, refusal.cure INTO cause, cure FROM ("""
    + _USED
    + """) AS refusal;
    IF FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s cannot be exchanged: %s.', origin, cause),
            HINT = cure;
    END IF;
"""
)

_REFUSE = (
    """
    SELECT refusal.cause, refusal.cure INTO cause, cure FROM (
        SELECT 'it is no ordinary, logged table of its own', 'Only such a table can be partitioned.'
        WHERE own.relkind <> 'r' OR own.relpersistence <> 'p' OR own.reloftype <> 0
        OR EXISTS (SELECT FROM pg_catalog.pg_inherits WHERE origin IN (inhrelid, inhparent))
    UNION ALL
        SELECT format('it has no column %I of a type that divides into ranges', key),
            'Name a column of type timestamptz, timestamp, date, bigint, integer or smallint.'
        WHERE kind IS NULL OR kind NOT IN ('timestamp with time zone', 'date', 'bigint', 'integer',
            'timestamp without time zone', 'smallint')
    UNION ALL
        SELECT format('its column %I may be null', key),
            'Make it NOT NULL first, in a revision before this one: op.set_not_null_online.'
        FROM pg_catalog.pg_attribute
        WHERE attrelid = origin AND attname = key AND NOT attnotnull
    UNION ALL
        SELECT format('its column %I is generated', key), 'Divide by a column that is written.'
        FROM pg_catalog.pg_attribute
        WHERE attrelid = origin AND attname = key AND attgenerated <> ''
    UNION ALL
        SELECT format('the interval %L does not suit a column of type %s', step, kind),
            'Give a whole number for a number; months, or days, for a date; for a time also hours.'
        WHERE CASE
            WHEN kind IN ('bigint', 'integer', 'smallint') THEN step !~ '^[1-9][0-9]{0,17}$'
            WHEN step ~ '^[0-9]+$' THEN true
            WHEN step::interval = make_interval(months => extract(month FROM step::interval)::int
                + 12 * extract(year FROM step::interval)::int) THEN step::interval <= '0'
            ELSE extract(month FROM step::interval) <> 0 OR extract(year FROM step::interval) <> 0
                OR step::interval <= '0'
                OR kind = 'date' AND extract(epoch FROM step::interval) % 86400 <> 0 END
    UNION ALL
        SELECT format('the unique index %I does not contain the column %I', class.relname, key),
            'A partitioned table can only be unique over keys that contain its partition column: '
            'put it into the key, or drop the index.'
        FROM pg_catalog.pg_index JOIN pg_catalog.pg_class AS class ON class.oid = indexrelid
        WHERE indrelid = origin AND indisunique AND NOT EXISTS (
            SELECT FROM unnest(indkey::int2[]) WITH ORDINALITY AS part (attnum, place)
            JOIN pg_catalog.pg_attribute AS a ON a.attrelid = origin AND a.attnum = part.attnum
            WHERE part.place <= indnkeyatts AND a.attname = key)
    UNION ALL
        SELECT format('the index %I belongs to an exclusion constraint', indexrelid::regclass),
            'Drop the constraint: it could not see the rows of other partitions.'
        FROM pg_catalog.pg_index WHERE indrelid = origin AND indisexclusion
    UNION ALL
        SELECT format('the index %s is invalid', indexrelid::regclass),
            'Drop it, or build it again, first.'
        FROM pg_catalog.pg_index WHERE indrelid = origin AND NOT (indisvalid AND indisready)
    UNION ALL
        SELECT format('the constraint %I is not validated', conname),
            'ALTER TABLE ... VALIDATE CONSTRAINT first.'
        FROM pg_catalog.pg_constraint
        WHERE conrelid = origin AND NOT convalidated AND conname NOT LIKE 'pgmodern\\_before\\_%'
    UNION ALL
        SELECT format('the constraint %I is NO INHERIT', conname),
            'Drop it first: a partitioned table has none such.'
        FROM pg_catalog.pg_constraint
        WHERE conrelid = origin AND connoinherit AND contype IN ('c', 'n')
    UNION ALL
"""
    + _USED
    + """    UNION ALL
        -- Releases before 16.5 and 17.1 cannot detach a partition that has one.
        SELECT format('its foreign key %I points at a partitioned table', conname),
            'Drop it first, in a revision before this one, and add it again afterwards.'
        FROM pg_catalog.pg_constraint JOIN pg_catalog.pg_class AS its ON its.oid = confrelid
        WHERE conrelid = origin AND contype = 'f' AND conparentid = 0 AND its.relkind = 'p'
    UNION ALL
        SELECT 'row level security is on', 'ALTER TABLE ... DISABLE ROW LEVEL SECURITY first.'
        WHERE own.relrowsecurity OR own.relforcerowsecurity
    UNION ALL
        SELECT format('the publication %I would publish its partitions instead', p.pubname),
            'ALTER PUBLICATION ... SET (publish_via_partition_root = true) first.'
        FROM pg_catalog.pg_publication_tables AS published
        JOIN pg_catalog.pg_publication AS p USING (pubname)
        WHERE schemaname = place AND tablename = own.relname AND NOT pubviaroot
    UNION ALL
        SELECT 'its replica identity is not the default',
            'ALTER TABLE ... REPLICA IDENTITY DEFAULT first.'
        WHERE own.relreplident <> 'd'
    UNION ALL
        SELECT format('the row trigger %I has transition tables', tgname),
            'Drop it first: a partition cannot have such a trigger.'
        FROM pg_catalog.pg_trigger WHERE tgrelid = origin AND tgtype::int & 1 = 1
        AND (tgoldtable IS NOT NULL OR tgnewtable IS NOT NULL)
    UNION ALL
        SELECT format('%s was granted by another than its owner', privilege),
            'Let the owner grant it.'
        FROM (
            SELECT (aclexplode(own.relacl)).*
            UNION ALL
            SELECT (aclexplode(attacl)).* FROM pg_catalog.pg_attribute WHERE attrelid = origin
        ) AS granted (grantor, grantee, privilege, with_option)
        WHERE grantor <> own.relowner
    ) AS refusal (cause, cure) LIMIT 1;
    IF FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s cannot be partitioned by %I: %s.', origin, key, cause),
            HINT = cure;
    END IF;
"""
)

# A time's own interval may end within the minute, and until the table is partitioned nothing can
# be written beyond the bound: the first partition lasts for another day, or another interval.
_BOUND = """
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
    IF kind NOT IN ('bigint', 'integer', 'smallint') AND bound::timestamp <= now()::timestamp THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('The first partition of %s would end at %s, in the past.',
                origin, bound),
            HINT = 'Let `starting` be in the future: what is written meanwhile must fit.';
    END IF;
"""

_REFUSE_ROWS_BEYOND = """
    EXECUTE format('SELECT count(*), min(%1$I)::text, max(%1$I)::text FROM %2$s WHERE %1$I >= %3$L',
        key, origin, bound) INTO number, made, until;
    IF number > 0 THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s rows of %s are beyond the first partition, which ends at %s: '
                'their %I is from %s to %s.', number, origin, bound, key, made, until),
            HINT = 'Let `starting` be later than these, or correct them.';
    END IF;
"""

_ANNOUNCE = """
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

_FIND_CHECK = """
    helper := (SELECT conname FROM pg_catalog.pg_constraint
               WHERE conrelid = origin AND conname LIKE 'pgmodern\\_before\\_%');
    bound := substr(helper, octet_length('pgmodern_before_') + 1);
    IF bound IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('Somebody dropped the CHECK that keeps %s below its bound.', origin),
            HINT = 'Run again.';
    END IF;
"""

_VALIDATE = (
    """
    BEGIN
        -- SHARE UPDATE EXCLUSIVE
        EXECUTE format('ALTER TABLE %s VALIDATE CONSTRAINT %I', origin, helper);
    EXCEPTION WHEN check_violation THEN
"""
    + _REFUSE_ROWS_BEYOND
    + """
        RAISE;
    END;
"""
)

_FORGET = """
    FOR each IN SELECT conname FROM pg_catalog.pg_constraint
        WHERE conrelid = origin AND conname LIKE 'pgmodern\\_before\\_%'
    LOOP
        -- ACCESS EXCLUSIVE; instant
        EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', origin, each.conname);
    END LOOP;
"""

_KEEP_AS_IT_IS = """
    -- Against an index or a trigger that would come in between; in the way of no read and no write
    EXECUTE format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE', origin);
"""

# The new table is nobody else's to see yet.
_PREPARE_PARENT = """
    PERFORM set_config('default_tablespace', coalesce((
        SELECT spcname FROM pg_catalog.pg_tablespace WHERE oid = own.reltablespace), ''), true);
    made := 'pgmodern_' || own.oid;
    EXECUTE format('CREATE TABLE %I.%I (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED '
        'INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS) '
        'PARTITION BY RANGE (%I)', place, made, origin, key);
    parent := to_regclass(format('%I.%I', place, made));
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', parent, helper);
    EXECUTE format('ALTER TABLE %s OWNER TO %I', parent, pg_get_userbyid(own.relowner));
    FOR each IN
        SELECT attname, (to_jsonb(a) ->> 'attstattarget')::int AS target, (
            SELECT string_agg(option, ', ') FROM unnest(attoptions) AS option
            WHERE option LIKE 'n\\_distinct%') AS options
        FROM pg_catalog.pg_attribute AS a
        WHERE attrelid = origin AND attnum > 0 AND NOT attisdropped
    LOOP
        IF each.target >= 0 THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s',
                parent, each.attname, each.target);
        END IF;
        IF each.options IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET (%s)',
                parent, each.attname, each.options);
        END IF;
    END LOOP;
"""

_SUFFIX = """CASE WHEN kind IN ('bigint', 'integer', 'smallint') THEN replace({0}, '-', 'minus_')
        ELSE regexp_replace(regexp_replace({0}, '( 00:00:00)?([+]00)?$', ''), '[^0-9]', '', 'g')
        END"""

# Renaming an index locks it SHARE UPDATE EXCLUSIVE, and its table not at all.
_MOVE_INDEXES = f"""
    made := '_until_' || {_SUFFIX.format("bound")};
    FOR each IN
        SELECT class.oid, class.relname::text AS name, pg_get_indexdef(class.oid) AS definition,
            format('CREATE %sINDEX %I ON %s USING ', CASE WHEN indisunique THEN 'UNIQUE ' END,
                class.relname, origin) AS opening,
            conname, pg_get_constraintdef(c.oid) AS condef, obj_description(c.oid) AS concomment,
            obj_description(class.oid, 'pg_class') AS comment, spcname
        FROM pg_catalog.pg_index JOIN pg_catalog.pg_class AS class ON class.oid = indexrelid
        LEFT JOIN pg_catalog.pg_constraint AS c
            ON conindid = indexrelid AND conrelid = indrelid AND contype IN ('p', 'u')
        LEFT JOIN pg_catalog.pg_tablespace AS s ON s.oid = class.reltablespace
        WHERE indrelid = origin ORDER BY class.oid
    LOOP
        EXECUTE format('ALTER INDEX %s RENAME TO %I', each.oid::regclass,
            {_fitted("each.name", "made")});
        PERFORM set_config('default_tablespace', coalesce(each.spcname, ''), true);
        IF each.conname IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s',
                parent, each.conname, each.condef);
            EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L',
                each.conname, parent, each.concomment);
        ELSE
            EXECUTE format('CREATE %sINDEX %I ON %s USING %s',
                CASE WHEN each.definition LIKE 'CREATE UNIQUE %' THEN 'UNIQUE ' END,
                each.name, parent, substr(each.definition, length(each.opening) + 1));
        END IF;
        EXECUTE format('COMMENT ON INDEX %I.%I IS %L', place, each.name, each.comment);
    END LOOP;
    facts := (
        SELECT jsonb_agg(jsonb_build_object('name', stxname,
            'definition', pg_get_statisticsobjdef(oid), 'target', to_jsonb(s) ->> 'stxstattarget',
            'comment', obj_description(oid, 'pg_statistic_ext')) ORDER BY oid)
        FROM pg_catalog.pg_statistic_ext AS s WHERE stxrelid = origin);
    FOR each IN
        SELECT nspname, stxname::text AS name FROM pg_catalog.pg_statistic_ext AS s
        JOIN pg_catalog.pg_namespace AS n ON n.oid = stxnamespace WHERE stxrelid = origin
    LOOP
        EXECUTE format('ALTER STATISTICS %I.%I RENAME TO %I', each.nspname, each.name,
            {_fitted("each.name", "made")});
    END LOOP;
    -- What _EXTEND starts from.
    until := bound;
    pattern := origin;
"""

_SPLIT = """
        SELECT inhrelid::regclass AS part,
            substring(pg_get_expr(relpartbound, oid) FROM 'FROM \\(''?([^'')]*)''?\\) TO') AS lower,
            substring(pg_get_expr(relpartbound, oid) FROM 'TO \\(''?([^'')]*)''?\\)$') AS upper,
            obj_description(oid, 'pg_class') AS comment
        FROM pg_catalog.pg_inherits JOIN pg_catalog.pg_class ON oid = inhrelid
        WHERE inhparent = origin
"""

_COMMENT = "pgmodern: a partition by "

_FIND_LAST = f"""
    SELECT attname, atttypid::regtype::text INTO made, kind
    FROM pg_catalog.pg_partitioned_table
    JOIN pg_catalog.pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
    WHERE partrelid = origin AND partstrat = 'r' AND partnatts = 1;
    IF kind IN ('bigint', 'integer', 'smallint') THEN
        EXECUTE format('SELECT coalesce(max(%I), 0)::text FROM %s', made, origin) INTO reached;
    ELSE
        reached := now()::text;
    END IF;
    FOR each IN {_SPLIT} LOOP
        IF each.comment LIKE '{_COMMENT}%' THEN
            EXECUTE format('SELECT %1$L::%2$s > %3$L::%2$s', each.upper, kind, until)
                INTO is_beyond;
            IF is_beyond OR until IS NULL THEN
                until := each.upper;
                pattern := each.part;
                step := substr(each.comment, length('{_COMMENT}') + 1);
            END IF;
        END IF;
        IF each.lower <> 'MINVALUE' THEN
            EXECUTE format('SELECT %1$L::%2$s > %3$L::%2$s', each.lower, kind, reached)
                INTO is_beyond;
            beyond := beyond + is_beyond::int;
        END IF;
    END LOOP;
    IF until IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s has no partitions of op.partition_table_online.', origin),
            HINT = 'Partition it with op.partition_table_online first.';
    END IF;
    parent := origin;
"""

# CREATE TABLE ... PARTITION OF would lock the parent ACCESS EXCLUSIVE; ATTACH locks it
# SHARE UPDATE EXCLUSIVE, and there is no row to scan.
_EXTEND = f"""
    WHILE beyond < ahead LOOP
        since := until;
        EXECUTE format('SELECT (%1$L::%2$s + %3$L::%4$s)::%2$s::text, %1$L::%2$s > %5$L::%2$s',
            since, kind, step, CASE WHEN step ~ '^[0-9]+$' THEN kind ELSE 'interval' END, reached)
            INTO until, is_beyond;
        made := '_from_' || {_SUFFIX.format("since")};
        made := format('%I.%I', place, {_fitted("base", "made")});
        PERFORM set_config('default_tablespace', coalesce((
            SELECT spcname FROM pg_catalog.pg_class AS class
            JOIN pg_catalog.pg_tablespace AS s ON s.oid = reltablespace
            WHERE class.oid = pattern), ''), true);
        EXECUTE format('CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED '
            'INCLUDING CONSTRAINTS INCLUDING STORAGE INCLUDING COMPRESSION)%s', made, parent, (
                SELECT ' WITH (' || string_agg(format('%s=%L', split_part(option, '=', 1),
                    substr(option, strpos(option, '=') + 1)), ', ') || ')'
                FROM pg_catalog.pg_class AS class, unnest(reloptions) AS option
                WHERE class.oid = pattern));
        EXECUTE format('ALTER TABLE %s OWNER TO %I', made, pg_get_userbyid(own.relowner));
        EXECUTE format('COMMENT ON TABLE %s IS %L', made, '{_COMMENT}' || step);
        PERFORM set_config('default_tablespace', '', true);  -- indexes have their own
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)',
            parent, made, since, until);
        beyond := beyond + coalesce(is_beyond, true)::int;
    END LOOP;
"""

# The waits for the table and for the `number` of others make one timeout: what queues behind the
# first waits for the last too. It ends before anybody looks for a deadlock, so that the transaction
# that PostgreSQL ends for one is never the application's.
_LOCK = """
    budget := (
        SELECT least(waited.setting::int, CASE WHEN number > 0 THEN looked.setting::int * 4 / 5 END)
        FROM pg_catalog.pg_settings AS waited, pg_catalog.pg_settings AS looked
        WHERE waited.name = 'lock_timeout' AND looked.name = 'deadlock_timeout');
    PERFORM set_config('lock_timeout',
        greatest(1, budget / CASE WHEN number > 0 THEN 2 ELSE 1 END) || 'ms', true);
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', origin);
    PERFORM set_config('lock_timeout',
        greatest(1, budget / 2 / greatest(number, 1)) || 'ms', true);
"""

_LOCK_TABLE = (
    """
    giver := origin;
    taker := parent;
    number := (
        SELECT count(*) FROM pg_catalog.pg_depend
        WHERE refclassid = 'pg_catalog.pg_class'::regclass AND refobjid = origin
        AND (classid, objid) IN (
            SELECT 'pg_catalog.pg_constraint'::regclass, oid FROM pg_catalog.pg_constraint
            WHERE contype = 'f'
            UNION SELECT 'pg_catalog.pg_class'::regclass, oid FROM pg_catalog.pg_class
            WHERE relkind = 'S'));
"""
    + _LOCK
)

_CARRY = """
    EXECUTE format('ALTER TABLE %s OWNER TO %I', taker, pg_get_userbyid(own.relowner));
    EXECUTE format('COMMENT ON TABLE %s IS %L', taker, obj_description(giver, 'pg_class'));
    FOR each IN
        SELECT attname, col_description(attrelid, attnum) AS comment FROM pg_catalog.pg_attribute
        WHERE attrelid = giver AND attnum > 0 AND NOT attisdropped
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', taker, each.attname, each.comment);
    END LOOP;

    -- Its own grants, or those of ALTER DEFAULT PRIVILEGES, make room for the giver's.
    FOR each IN
        SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END
            AS role
        FROM (
            SELECT (aclexplode(relacl)).grantee FROM pg_catalog.pg_class WHERE oid = taker
            UNION
            SELECT (aclexplode(attacl)).grantee FROM pg_catalog.pg_attribute WHERE attrelid = taker
        ) AS granted
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', taker, each.role);
    END LOOP;
    FOR each IN
        SELECT format('GRANT %s%s ON %s TO %s%s', privilege_type, granted.part, taker,
            CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
            CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END) AS statement
        FROM (
            SELECT '' AS part, acl.* FROM pg_catalog.pg_class,
                aclexplode(coalesce(relacl, acldefault('r', relowner))) WITH ORDINALITY AS acl
            WHERE oid = giver
            UNION ALL
            SELECT format(' (%I)', attname), acl.* FROM pg_catalog.pg_attribute,
                aclexplode(attacl) WITH ORDINALITY AS acl
            WHERE attrelid = giver AND NOT attisdropped
        ) AS granted ORDER BY part, ordinality
    LOOP
        EXECUTE each.statement;
    END LOOP;

    triggers := (
        SELECT jsonb_agg(jsonb_build_object('name', tgname, 'definition', pg_get_triggerdef(oid),
            'comment', obj_description(oid, 'pg_trigger'), 'enabled', CASE tgenabled
                WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA'
                WHEN 'A' THEN 'ENABLE ALWAYS' END) ORDER BY tgname)
        FROM pg_catalog.pg_trigger
        WHERE tgrelid = giver AND NOT tgisinternal AND tgparentid = 0);
    FOR each IN SELECT trigger ->> 'name' AS name FROM jsonb_array_elements(triggers) AS trigger
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', each.name, giver);
    END LOOP;

    FOR each IN
        SELECT attname, attidentity, objid, relname, relacl, deptype, sequence.*,
            obj_description(objid, 'pg_class') AS comment
        FROM pg_catalog.pg_depend JOIN pg_catalog.pg_class AS class ON class.oid = objid
        JOIN pg_catalog.pg_attribute ON attrelid = refobjid AND attnum = refobjsubid
        JOIN pg_catalog.pg_sequence AS sequence ON seqrelid = objid
        WHERE classid = 'pg_catalog.pg_class'::regclass AND refclassid = classid
        AND refobjid = giver AND deptype IN ('a', 'i')
    LOOP
        IF each.deptype = 'a' THEN
            EXECUTE format('ALTER SEQUENCE %s OWNED BY %s.%I',
                each.objid::regclass, taker, each.attname);
            CONTINUE;
        END IF;
        -- Locks it ACCESS EXCLUSIVE: from here on no value is taken from it.
        EXECUTE format('ALTER SEQUENCE %s RENAME TO %I', each.objid::regclass,
            'pgmodern_' || each.objid);
        EXECUTE format('SELECT last_value, is_called FROM %s', each.objid::regclass)
            INTO number, called;
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP IDENTITY', giver, each.attname);
        made := format('%I.%I', place, each.relname);
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME '
            '%s INCREMENT %s MINVALUE %s MAXVALUE %s START %s CACHE %s %s)', taker, each.attname,
            CASE each.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, made,
            each.seqincrement, each.seqmin, each.seqmax, each.seqstart, each.seqcache,
            CASE WHEN each.seqcycle THEN 'CYCLE' END);
        PERFORM setval(to_regclass(made), number, called);
        EXECUTE format('COMMENT ON SEQUENCE %s IS %L', made, each.comment);
        EXECUTE coalesce((
            SELECT string_agg(format('GRANT %s ON SEQUENCE %s TO %s%s', privilege_type, made,
                CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END,
                CASE WHEN is_grantable THEN ' WITH GRANT OPTION' END), '; ')
            FROM aclexplode(each.relacl)), 'SELECT');
    END LOOP;
"""

_EXCHANGE = f"""
    made := '_until_' || {_SUFFIX.format("bound")};
    made := {_fitted("base", "made")};
    EXECUTE format('ALTER TABLE %s RENAME TO %I', origin, made);
    EXECUTE format('ALTER TABLE %s RENAME TO %I', parent, base);
    EXECUTE format('COMMENT ON TABLE %s IS %L', origin, '{_COMMENT}' || step);
"""

_ATTACH = """
    FOR each IN SELECT fact FROM jsonb_array_elements(facts) AS fact LOOP
        EXECUTE each.fact ->> 'definition';
    END LOOP;
    FOR each IN
        SELECT format('%I.%I', nspname, stxname) AS name, fact ->> 'comment' AS comment,
            (fact ->> 'target')::int AS target
        FROM jsonb_array_elements(facts) AS fact
        JOIN pg_catalog.pg_statistic_ext ON stxname = fact ->> 'name' AND stxrelid = parent
        JOIN pg_catalog.pg_namespace AS n ON n.oid = stxnamespace
    LOOP
        EXECUTE format('COMMENT ON STATISTICS %s IS %L', each.name, each.comment);
        IF each.target >= 0 THEN
            EXECUTE format('ALTER STATISTICS %s SET STATISTICS %s', each.name, each.target);
        END IF;
    END LOOP;
    -- ATTACH takes the foreign keys of the first partition for these, and checks no row again.
    FOR each IN
        SELECT conname, pg_get_constraintdef(oid) AS definition,
            obj_description(oid, 'pg_constraint') AS comment
        FROM pg_catalog.pg_constraint
        WHERE conrelid = origin AND contype = 'f' AND conparentid = 0 ORDER BY oid
    LOOP
        -- SHARE ROW EXCLUSIVE on the table that it points at
        EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I %s',
            parent, each.conname, each.definition);
        EXECUTE format('COMMENT ON CONSTRAINT %I ON %s IS %L', each.conname, parent, each.comment);
    END LOOP;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (MINVALUE) TO (%L)',
        parent, origin, bound);
    EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', origin, helper);
"""

_CREATE_TRIGGERS = """
    FOR each IN SELECT trigger FROM jsonb_array_elements(triggers) AS trigger LOOP
        EXECUTE each.trigger ->> 'definition';
        EXECUTE format('COMMENT ON TRIGGER %I ON %s IS %L',
            each.trigger ->> 'name', taker, each.trigger ->> 'comment');
        IF each.trigger ->> 'enabled' IS NOT NULL THEN
            EXECUTE format('ALTER TABLE %s %s TRIGGER %I',
                taker, each.trigger ->> 'enabled', each.trigger ->> 'name');
        END IF;
    END LOOP;
"""

_FIND_FIRST = f"""
    SELECT atttypid::regtype::text INTO kind FROM pg_catalog.pg_partitioned_table
    JOIN pg_catalog.pg_attribute ON attrelid = partrelid AND attnum = partattrs[0]
    WHERE partrelid = origin;
    IF own.relkind = 'r' THEN
        {_FORGET.strip()}
        EXIT work;
    END IF;
    SELECT part, upper INTO taker, until FROM ({_SPLIT}) AS divided
    WHERE lower = 'MINVALUE' AND comment LIKE '{_COMMENT}%';
    IF taker IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('%s has no first partition of op.partition_table_online.', origin),
            HINT = 'It was dropped, or the table was partitioned by other means: leave it so.';
    END IF;
"""

_LOCK_PARTITIONS = (
    """
    number := (SELECT count(*) - 1 FROM pg_catalog.pg_partition_tree(origin));
"""
    + _LOCK
    + """
    -- ACCESS EXCLUSIVE on the partitions too
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', origin);
    FOR each IN
        SELECT inhrelid::regclass AS part FROM pg_catalog.pg_inherits
        WHERE inhparent = origin AND inhrelid <> taker
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM %s)', each.part) INTO is_beyond;
        IF is_beyond THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('%s cannot become one table again: its partition %s holds rows.',
                    origin, each.part),
                HINT = 'Leave it partitioned; or copy these rows to a table of their own, delete '
                    'them here, and insert them again when it is one table.';
        END IF;
    END LOOP;
"""
)

_DETACH = """
    giver := origin;
    indexes := (
        SELECT jsonb_agg(jsonb_build_object('oid', c.indexrelid, 'name', class.relname))
        FROM pg_catalog.pg_index AS p JOIN pg_catalog.pg_class AS class ON class.oid = p.indexrelid
        JOIN pg_catalog.pg_inherits ON inhparent = p.indexrelid
        JOIN pg_catalog.pg_index AS c ON c.indexrelid = inhrelid
        WHERE p.indrelid = origin AND c.indrelid = taker);
    EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', origin, taker);
"""

# The partitions that are dropped with the table are empty.
_TAKE_PLACE = f"""
    made := '_until_' || {_SUFFIX.format("until")};
    facts := (
        SELECT jsonb_agg(jsonb_build_object('now', format('%I.%I', nspname, mine.stxname),
            'then', its.stxname))
        FROM pg_catalog.pg_statistic_ext AS its
        JOIN pg_catalog.pg_statistic_ext AS mine ON mine.stxnamespace = its.stxnamespace
            AND mine.stxname = {_fitted("its.stxname::text", "made")}
        JOIN pg_catalog.pg_namespace AS n ON n.oid = its.stxnamespace
        WHERE its.stxrelid = origin AND mine.stxrelid = taker);
    EXECUTE format('DROP TABLE %s', origin);
    FOR each IN SELECT fact FROM jsonb_array_elements(facts) AS fact LOOP
        EXECUTE format('ALTER STATISTICS %s RENAME TO %I',
            each.fact ->> 'now', each.fact ->> 'then');
    END LOOP;
    EXECUTE format('ALTER TABLE %s RENAME TO %I', taker, base);
    FOR each IN
        SELECT (moved ->> 'oid')::oid::regclass AS index, moved ->> 'name' AS name
        FROM jsonb_array_elements(indexes) AS moved
    LOOP
        EXECUTE format('ALTER INDEX %s RENAME TO %I', each.index, each.name);
    END LOOP;
"""
