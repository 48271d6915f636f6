"""What goes over to the table that takes another's place: owner, grants, triggers, sequences."""

CARRY_COMMENTS = """
    EXECUTE format('ALTER TABLE %s OWNER TO %I', taker, pg_get_userbyid(own.relowner));
    EXECUTE format('COMMENT ON TABLE %s IS %L', taker, obj_description(giver, 'pg_class'));
    FOR each IN
        SELECT attname, col_description(attrelid, attnum) AS comment FROM pg_catalog.pg_attribute
        WHERE attrelid = giver AND attnum > 0 AND NOT attisdropped
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', taker, each.attname, each.comment);
    END LOOP;
"""

# Its own grants, or those of ALTER DEFAULT PRIVILEGES, make room for the giver's.
CARRY_GRANTS = """
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
"""

TAKE_TRIGGERS = """
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
"""

CARRY_SEQUENCES = """
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

CREATE_TRIGGERS = """
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

CARRY = CARRY_COMMENTS + CARRY_GRANTS + TAKE_TRIGGERS + CARRY_SEQUENCES
