"""Fragrances with embeddings of every shape: none, of length zero, tiny, huge, one number alone."""

import psycopg

from tests.legacy import Legacy

# An embedding costs 8 kB, so that there are few.
ROWS = """
INSERT INTO users (email) SELECT 'jane+' || i || '@example.org' FROM generate_series(1, 20) AS i;
INSERT INTO fragrances (name, brand, description, accords, rating_value, rating_count, embedding)
SELECT 'Eau d''Été 50% :of {it} ' || i, 'Maison ' || i % 7, nullif('Süß & holzig ' || i % 3,
       'Süß & holzig 0'),
       (ARRAY['[]', '["woody", "rosé"]', '["citrus"]', '{"odd": null}', '"text"', 'null'])
           [1 + i % 6]::jsonb,
       CASE WHEN i % 5 > 0 THEN i % 50 / 10.0 END, i % 13 * 50,
       CASE i % 8
           WHEN 0 THEN NULL
           WHEN 1 THEN array_fill(0, ARRAY[2048])::vector
           WHEN 2 THEN (array_fill(0, ARRAY[2047]) || 1)::vector
           WHEN 3 THEN array_fill(3e38::real, ARRAY[2048])::vector
           WHEN 4 THEN array_fill((-1e-40)::real, ARRAY[2048])::vector
           ELSE (SELECT array_agg(sin(i * n) / n) FROM generate_series(1, 2048) AS n)::vector
       END
FROM generate_series(1, 120) AS i;
INSERT INTO fragrances (name, brand, rating_value) VALUES ('', '', 'NaN'), ('x', 'y', 'Infinity');
"""
MANY_ROWS = """
INSERT INTO fragrances (name, brand, embedding)
SELECT name || i, brand, embedding FROM fragrances, generate_series(1, 5) AS i;
"""
# Version 1 holds what the column holds, but for what has no direction; and the words are there.
WRONG = """
    SELECT (SELECT count(*) FROM fragrances AS fragrance
            FULL JOIN fragrance_embeddings_multi AS multi ON multi.fragrance_id = fragrance.id
            WHERE multi.embedding IS DISTINCT FROM
                  CASE WHEN vector_norm(fragrance.embedding) > 0
                       THEN l2_normalize(fragrance.embedding)::halfvec(2048) END
               OR multi.version <> 1)
         + (SELECT count(*) FROM fragrances WHERE search_vector IS DISTINCT FROM
            setweight(to_tsvector('public.simple_unaccent', name), 'A')
            || setweight(to_tsvector('public.simple_unaccent', brand), 'B')
            || setweight(to_tsvector('public.simple_unaccent', coalesce(description, '')), 'C'))
"""


def fill(database: psycopg.Connection) -> None:
    """Insert 122 fragrances and 20 users."""
    database.execute(ROWS.encode())


FRAGRANCE = Legacy(
    name="fragrance",
    fill=fill,
    rows={"users": "to_jsonb(t)", "fragrances": "to_jsonb(t) - 'search_vector'"},
    wrong=WRONG,
    many=MANY_ROWS,
)
