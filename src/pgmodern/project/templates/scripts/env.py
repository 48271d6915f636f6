"""The migrations of models.py."""

from pgmodern import environment

from models import Base

environment.run(Base.metadata)
