"""The migrations of the reference schemas."""

from pgmodern import environment
from pgmodern.reference import audio, music

environment.run([music.Base.metadata, audio.Base.metadata])
