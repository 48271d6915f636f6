"""A library large enough for its indexes to be chosen, and what is read from it."""

import random
import uuid
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

ARTISTS, TRACKS, ARCHIVES, EMBEDDINGS = 2_000, 20_000, 5_000, 3_000
START = datetime(2026, 1, 1, tzinfo=UTC)
USERS = [uuid.UUID(int=number) for number in range(100)]
SYLLABLES = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er")]


class Chance(random.Random):
    """Names, documents and vectors that are the same in each run."""

    def name(self, most: int) -> str:
        words = ("".join(self.choices(SYLLABLES, k=self.randint(1, 4))) for _ in range(most))
        return " ".join(word.title() for word in list(words)[: self.randint(1, most)])

    def unit(self) -> NDArray[np.float32]:
        vector = np.random.default_rng(self.getrandbits(32)).normal(size=1536)
        return np.asarray(vector / np.linalg.norm(vector), np.float32)


CHANCE = Chance(5)
ARTIST_NAMES = [CHANCE.name(2) for _ in range(ARTISTS)]
TITLES = [CHANCE.name(4) for _ in range(TRACKS)]
VECTORS = [CHANCE.unit() for _ in range(EMBEDDINGS)]
