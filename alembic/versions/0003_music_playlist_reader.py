"""Music: a function that brings a playlist document to one shape, and where it could not."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# What is not understood comes back as a reason, never as an error and never changed. A number
# stays the numeric it is, which a detour through a program's floats would not keep.
READ_TRACK = """
CREATE FUNCTION read_track(entry jsonb, OUT track jsonb, OUT reason text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    written text;
    before integer;
    dash text[];
    legacy text;
    today text;
BEGIN
    IF jsonb_typeof(entry) = 'string' THEN
        written := entry #>> '{}';
        before := regexp_instr(written, '\\S\\s+-\\s+\\S');
        dash := regexp_match(written, '\\S(\\s+-\\s+)\\S');
        IF dash IS NULL THEN
            reason := 'is not written as "Artist - Title"';
            RETURN;
        END IF;
        track := jsonb_build_object('artist', left(written, before),
                                    'title', substr(written, before + 1 + length(dash[1])));
        RETURN;
    ELSIF jsonb_typeof(entry) <> 'object' THEN
        reason := format('is a %s, not a track', jsonb_typeof(entry));
        RETURN;
    END IF;
    track := entry;
    FOREACH today IN ARRAY ARRAY['artist', 'title'] LOOP
        legacy := CASE today WHEN 'artist' THEN 'artistName' ELSE 'trackName' END;
        IF track ? legacy AND NOT track ? today THEN
            track := track - legacy || jsonb_build_object(today, track -> legacy);
        ELSIF track ? legacy AND track -> legacy = track -> today THEN
            track := track - legacy;
        ELSIF track ? legacy THEN
            reason := format('has a %s and a different %s', today, legacy);
        END IF;
        IF jsonb_typeof(track -> today) IS DISTINCT FROM 'string' THEN
            reason := coalesce(reason, format('has no %s', today));
        END IF;
    END LOOP;
    IF reason IS NOT NULL THEN
        track := NULL;
    END IF;
END
$$
"""
READ_PLAYLIST = """
CREATE FUNCTION read_playlist(stored jsonb, OUT document jsonb, OUT reason text)
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    entries jsonb;
    problem text;
    tracks jsonb;
    written text;
BEGIN
    document := stored;
    BEGIN
        WHILE jsonb_typeof(document) = 'string' LOOP
            written := document #>> '{}';
            document := written::jsonb;
            IF written IS NOT JSON WITH UNIQUE KEYS THEN
                document := NULL;
                reason := 'is a string that holds a key twice';
                RETURN;
            END IF;
        END LOOP;
    EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
        document := NULL;
        reason := 'is a string that holds no JSON';
        RETURN;
    END;
    entries := CASE jsonb_typeof(document) WHEN 'array' THEN document ELSE document -> 'tracks' END;
    IF jsonb_typeof(entries) IS DISTINCT FROM 'array' THEN
        reason := CASE WHEN jsonb_typeof(document) <> 'object'
                       THEN format('is a %s, not a playlist', jsonb_typeof(document))
                       ELSE 'has no list of tracks' END;
        document := NULL;
        RETURN;
    END IF;
    SELECT (array_agg(format('track %s %s', entry.number, it.reason) ORDER BY entry.number)
               FILTER (WHERE it.reason IS NOT NULL))[1],
           jsonb_agg(it.track ORDER BY entry.number)
    INTO problem, tracks
    FROM jsonb_array_elements(entries) WITH ORDINALITY AS entry (value, number),
         LATERAL read_track(entry.value) AS it;
    reason := problem;
    tracks := coalesce(tracks, '[]');
    document := CASE WHEN reason IS NOT NULL THEN NULL
                     WHEN jsonb_typeof(document) = 'array' THEN jsonb_build_object('tracks', tracks)
                     ELSE jsonb_set(document, '{tracks}', tracks) END;
END
$$
"""


def upgrade() -> None:
    op.execute(READ_TRACK)
    op.execute(READ_PLAYLIST)
    op.adopt_table(
        "unreadable_archives",
        """CREATE TABLE unreadable_archives (
            archive_id uuid PRIMARY KEY REFERENCES archives (id) ON DELETE CASCADE,
            reason     text NOT NULL,
            found_at   timestamptz NOT NULL DEFAULT now()
        )""",
    )


def downgrade() -> None:
    op.release_table("unreadable_archives")
    op.execute("DROP FUNCTION read_playlist(jsonb)")
    op.execute("DROP FUNCTION read_track(jsonb)")
