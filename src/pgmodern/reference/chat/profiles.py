"""Influencers' profiles, kept in the process until somebody changes them."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, Select, select
from sqlalchemy.ext.asyncio import AsyncEngine

from pgmodern.cached import AsyncCached, Cached
from pgmodern.notifications import Subscriber
from pgmodern.reference.chat.models import AIInfluencer

CHANNEL = "ai_influencers_changed"  # of revision 0015


@dataclass(frozen=True, slots=True)
class Profile:
    """What a chat with an influencer needs to know; shared, so nobody may change its documents."""

    id: uuid.UUID
    name: str
    display_name: str
    system_instructions: str
    personality_traits: Any
    suggested_messages: Any
    is_active: bool


_PROFILE = select(
    AIInfluencer.id,
    AIInfluencer.name,
    AIInfluencer.display_name,
    AIInfluencer.system_instructions,
    AIInfluencer.personality_traits,
    AIInfluencer.suggested_messages,
    AIInfluencer.is_active,
)


def _of_id(key: uuid.UUID) -> Select[Any]:
    return _PROFILE.where(AIInfluencer.id == key)


def _of_name(name: str) -> Select[Any]:
    return _PROFILE.where(AIInfluencer.name == name)


class Profiles:
    """Profiles by id and by name, at most `ttl` seconds old; None where there is none.

    Given to a `Listener` as its channels, a change is seen as soon as its commit is heard of:

        profiles = Profiles(engine)
        with Listener(engine.url, profiles.channels):
            profiles.by_name.get("luna")
    """

    def __init__(self, engine: Engine, *, ttl: float = 60.0, size: int = 1024) -> None:
        def load(query: Select[Any]) -> Profile | None:
            with engine.begin() as connection:
                row = connection.execute(query).one_or_none()
            return None if row is None else Profile(*row)

        self.by_id = Cached[uuid.UUID, Profile | None](
            lambda key: load(_of_id(key)), column="id", ttl=ttl, size=size
        )
        self.by_name = Cached[str, Profile | None](
            lambda name: load(_of_name(name)), column="name", ttl=ttl, size=size
        )

    @property
    def channels(self) -> Mapping[str, Sequence[Subscriber]]:
        """What a `Listener` is to listen to, and for whom."""
        return {CHANNEL: [self.by_id, self.by_name]}


class AsyncProfiles:
    """The asynchronous twin of Profiles."""

    def __init__(self, engine: AsyncEngine, *, ttl: float = 60.0, size: int = 1024) -> None:
        async def load(query: Select[Any]) -> Profile | None:
            async with engine.begin() as connection:
                row = (await connection.execute(query)).one_or_none()
            return None if row is None else Profile(*row)

        self.by_id = AsyncCached[uuid.UUID, Profile | None](
            lambda key: load(_of_id(key)), column="id", ttl=ttl, size=size
        )
        self.by_name = AsyncCached[str, Profile | None](
            lambda name: load(_of_name(name)), column="name", ttl=ttl, size=size
        )

    @property
    def channels(self) -> Mapping[str, Sequence[Subscriber]]:
        """What a `Listener` is to listen to, and for whom."""
        return {CHANNEL: [self.by_id, self.by_name]}
