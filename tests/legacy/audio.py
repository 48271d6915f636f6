"""Samples of every shape: with and without analysis, with and without a vector."""

import psycopg

from pgmodern.operations.replaced_column import ReplacedColumn
from tests.legacy import Legacy

OLD = ReplacedColumn("sample_embeddings", "vibe_vector").old

# As one vector, so that its parts are read alike before and after.
ROWS = """
INSERT INTO samples (title, genre, musical_key, bpm, duration_s, tags)
VALUES ('', NULL, NULL, NULL, NULL, '{}'),
       ('50% :of {it} ''\\', 'hip hop', 'F♯ minor', 'NaN', 'Infinity', '["a", null, {"b": 1.10}]'),
       ('Größe 雪 \U0001f3b5', '', 'C', -0.0, 1e308, 'null');
INSERT INTO samples (title, genre, musical_key, bpm, duration_s, tags)
SELECT 'Loop ' || i, (ARRAY['techno', 'house', 'dub'])[1 + i % 3], (ARRAY['A', 'Bb'])[1 + i % 2],
       60 + i * 1.1, i / 7.0, '["loop"]'
FROM generate_series(4, 30) AS i;
INSERT INTO vibe_analysis (sample_id, mood, energy, descriptors)
SELECT id, (ARRAY['dark', '', NULL])[1 + id % 3], nullif(id / 30.0, 0.5),
       (ARRAY['["gritty", "50%"]', '[]', '{"low": ["rumble"]}', '"warm"']::jsonb[])[1 + id % 4]
FROM samples WHERE id <> 4;
INSERT INTO sample_embeddings (sample_id, vibe_vector, embedding_source, created_at)
SELECT s.id, ARRAY(SELECT sin(s.id * j) / (1 + j % 9) FROM generate_series(1, 1536) AS j),
       (ARRAY['analysis', '', NULL])[1 + s.id % 3], nullif(now(), now() - s.id * interval '1 s')
FROM samples AS s WHERE s.id > 4;
INSERT INTO sample_embeddings (sample_id, vibe_vector)
VALUES (1, array_fill(0, ARRAY[1536])), (2, array_fill(-1e-30, ARRAY[1536], ARRAY[0])),
       (3, array_fill(3.4e38, ARRAY[1536]));
"""
MANY_ROWS = """
INSERT INTO samples (title, genre, bpm)
SELECT 'Loop ' || i, 'techno', i % 200 FROM generate_series(1, 5000) AS i;
INSERT INTO vibe_analysis (sample_id, mood) SELECT id, 'calm' FROM samples WHERE id > 30;
INSERT INTO sample_embeddings (sample_id, vibe_vector)
SELECT s.id, e.vibe_vector || '{}' FROM samples AS s
JOIN sample_embeddings AS e ON e.sample_id = 5 + s.id % 20
WHERE s.id BETWEEN 31 AND 430;
"""


def fill(database: psycopg.Connection) -> None:
    """Insert 30 samples and what belongs to them."""
    database.execute(ROWS.encode())


AUDIO = Legacy(
    name="audio",
    fill=fill,
    rows={
        "samples": "to_jsonb(t)",
        "vibe_analysis": "to_jsonb(t)",
        # A vector holds real numbers; that the way back loses none is a test of its own.
        "sample_embeddings": f"to_jsonb(t) - '{{vibe_vector,{OLD},content_hash}}'::text[]"
        " || jsonb_build_object('vibe_vector', t.vibe_vector::real[])",
    },
    wrong=f"""
        SELECT count(*) FROM sample_embeddings
        WHERE vibe_vector IS DISTINCT FROM "{OLD}"::vector(1536) OR "{OLD}" IS NULL
    """,
    many=MANY_ROWS,
)
