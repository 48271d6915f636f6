"""All of the applications."""

from tests.legacy.music import MUSIC

APPLICATIONS = (MUSIC,)
