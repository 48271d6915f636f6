"""All of the applications."""

from tests.legacy.fragrance import FRAGRANCE
from tests.legacy.music import MUSIC

APPLICATIONS = (MUSIC, FRAGRANCE)
