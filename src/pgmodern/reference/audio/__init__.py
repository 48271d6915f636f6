"""Audio samples with "vibe" search."""

from pgmodern.reference.audio.asynchronous.repository import AsyncSampleRepository
from pgmodern.reference.audio.models import Base, Sample, SampleEmbedding, VibeAnalysis
from pgmodern.reference.audio.rows import NewSampleEmbedding, PendingSample, SampleHit
from pgmodern.reference.audio.synchronous.repository import SampleRepository

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
