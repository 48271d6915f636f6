"""The migrations of the reference schemas."""

from pgmodern import environment
from pgmodern.reference import audio, chat, fragrance, music

environment.run([each.Base.metadata for each in (music, chat, audio, fragrance)])
