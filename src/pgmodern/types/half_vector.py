"""`halfvec`: numbers of 16 bits."""

from pgmodern.types.dense import Dense
from pgmodern.types.wire import HalfText


class HalfVector(Dense):
    """`halfvec(dimensions)`: float16, up to 16,000 dimensions, up to 4,000 under an HNSW index."""

    cache_ok = True
    name = "HALFVEC"
    scalar = "float16"
    for_asyncpg = HalfText
