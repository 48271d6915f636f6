"""Playlist archives with artists, tracks and AI logs."""

from pgmodern.reference.music.asynchronous.repository import (
    AsyncAIInteractionEmbeddingRepository,
    AsyncArchiveRepository,
    AsyncArtistRepository,
    AsyncTrackRepository,
)
from pgmodern.reference.music.models import (
    AIInteractionEmbedding,
    AILog,
    Archive,
    Artist,
    Base,
    Track,
    UnreadableArchive,
)
from pgmodern.reference.music.rows import (
    ArchiveHit,
    ArtistHit,
    EmbeddingHit,
    NewEmbedding,
    PendingLog,
    TrackHit,
)
from pgmodern.reference.music.synchronous.repository import (
    AIInteractionEmbeddingRepository,
    ArchiveRepository,
    ArtistRepository,
    TrackRepository,
)

__all__ = [
    "AIInteractionEmbedding",
    "AIInteractionEmbeddingRepository",
    "AILog",
    "Archive",
    "ArchiveHit",
    "ArchiveRepository",
    "Artist",
    "ArtistHit",
    "ArtistRepository",
    "AsyncAIInteractionEmbeddingRepository",
    "AsyncArchiveRepository",
    "AsyncArtistRepository",
    "AsyncTrackRepository",
    "Base",
    "EmbeddingHit",
    "NewEmbedding",
    "PendingLog",
    "Track",
    "TrackHit",
    "TrackRepository",
    "UnreadableArchive",
]
