"""Fragrance recommendations."""

from pgmodern.reference.fragrance.models import Base
