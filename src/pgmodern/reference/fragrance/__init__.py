"""Fragrance recommendations."""

from pgmodern.reference.fragrance.bandit import (
    AlgorithmPerformanceRepository,
    AsyncAlgorithmPerformanceRepository,
    Belief,
)
from pgmodern.reference.fragrance.events import (
    AsyncUserInteractionEventRepository,
    Event,
    NewEvent,
    UserInteractionEventRepository,
)
from pgmodern.reference.fragrance.fragrances import (
    AsyncFragranceRepository,
    FragranceHit,
    FragranceRepository,
)
from pgmodern.reference.fragrance.models import (
    AlgorithmPerformance,
    Base,
    Fragrance,
    FragranceEmbedding,
    FragranceEmbeddingVersion,
    FragranceRelationship,
    User,
    UserInteractionEvent,
)
from pgmodern.reference.fragrance.relationships import (
    AsyncFragranceRelationshipRepository,
    FragranceRelationshipRepository,
    Neighbour,
    Path,
    Relationship,
)
from pgmodern.reference.fragrance.versions import (
    AsyncFragranceEmbeddingRepository,
    FragranceEmbeddingRepository,
)

__all__ = [
    "AlgorithmPerformance",
    "AlgorithmPerformanceRepository",
    "AsyncAlgorithmPerformanceRepository",
    "AsyncFragranceEmbeddingRepository",
    "AsyncFragranceRelationshipRepository",
    "AsyncFragranceRepository",
    "AsyncUserInteractionEventRepository",
    "Base",
    "Belief",
    "Event",
    "Fragrance",
    "FragranceEmbedding",
    "FragranceEmbeddingRepository",
    "FragranceEmbeddingVersion",
    "FragranceHit",
    "FragranceRelationship",
    "FragranceRelationshipRepository",
    "FragranceRepository",
    "Neighbour",
    "NewEvent",
    "Path",
    "Relationship",
    "User",
    "UserInteractionEvent",
    "UserInteractionEventRepository",
]
