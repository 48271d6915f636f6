"""The migrations of the reference schemas."""

from pgmodern import environment
from pgmodern.reference import audio, chat, music

environment.run([music.Base.metadata, chat.Base.metadata, audio.Base.metadata])
