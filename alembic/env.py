"""The migrations of the reference schemas."""

from pgmodern import environment
from pgmodern.reference import fragrance, music

environment.run([music.Base.metadata, fragrance.Base.metadata])
