"""All of the applications."""

from tests.legacy.audio import AUDIO
from tests.legacy.chat import CHAT
from tests.legacy.fragrance import FRAGRANCE
from tests.legacy.music import MUSIC

APPLICATIONS = (MUSIC, CHAT, AUDIO, FRAGRANCE)
