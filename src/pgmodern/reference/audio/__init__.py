"""Audio samples with "vibe" search."""

from pgmodern.reference.audio.models import Base, Sample, SampleEmbedding, VibeAnalysis
from pgmodern.reference.audio.repository import (
    AsyncSampleRepository,
    NewSampleEmbedding,
    PendingSample,
    SampleHit,
    SampleRepository,
)

__all__ = [
    "AsyncSampleRepository",
    "Base",
    "NewSampleEmbedding",
    "PendingSample",
    "Sample",
    "SampleEmbedding",
    "SampleHit",
    "SampleRepository",
    "VibeAnalysis",
]
