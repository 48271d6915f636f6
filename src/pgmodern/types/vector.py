"""`vector`: numbers of 32 bits."""

from pgmodern.types.dense import Dense
from pgmodern.types.wire import DenseText


class Vector(Dense):
    """`vector(dimensions)`: float32, up to 16,000 dimensions, up to 2,000 under an HNSW index."""

    cache_ok = True
    name = "VECTOR"
    scalar = "float32"
    for_asyncpg = DenseText
