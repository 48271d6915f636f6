"""The migrations of the reference schemas."""

from pgmodern import environment
from pgmodern.reference import music

environment.run([music.Base.metadata])
