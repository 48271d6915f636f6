"""Fragrance recommendations."""

from pgmodern.reference.fragrance.asynchronous.bandit import AsyncAlgorithmPerformanceRepository
from pgmodern.reference.fragrance.asynchronous.events import AsyncUserInteractionEventRepository
from pgmodern.reference.fragrance.asynchronous.fragrances import AsyncFragranceRepository
from pgmodern.reference.fragrance.asynchronous.relationships import (
    AsyncFragranceRelationshipRepository,
)
from pgmodern.reference.fragrance.asynchronous.versions import AsyncFragranceEmbeddingRepository
from pgmodern.reference.fragrance.bandit import Belief
from pgmodern.reference.fragrance.events import Event, NewEvent
from pgmodern.reference.fragrance.fragrances import FragranceHit
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
from pgmodern.reference.fragrance.relationships import Neighbour, Path, Relationship
from pgmodern.reference.fragrance.synchronous.bandit import AlgorithmPerformanceRepository
from pgmodern.reference.fragrance.synchronous.events import UserInteractionEventRepository
from pgmodern.reference.fragrance.synchronous.fragrances import FragranceRepository
from pgmodern.reference.fragrance.synchronous.relationships import FragranceRelationshipRepository
from pgmodern.reference.fragrance.synchronous.versions import FragranceEmbeddingRepository

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
