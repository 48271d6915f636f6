"""Influencers' profiles, kept in the process until somebody changes them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.ext.asyncio import AsyncEngine

from pgmodern.cached import AsyncCached
from pgmodern.notifications import Subscriber
from pgmodern.reference.chat.profiles import CHANNEL, Profile, of_id, of_name


class AsyncProfiles:
    """Profiles by id and by name, at most `ttl` seconds old; None where there is none.

    They are asked like `by_name.get("luna")`. While `Listener(engine.url, profiles.channels)`
    listens, a change is seen as soon as its commit is heard of.
    """

    def __init__(self, engine: AsyncEngine, *, ttl: float = 60.0, size: int = 1024) -> None:
        async def load(query: Select[Any]) -> Profile | None:
            async with engine.begin() as connection:
                found = await connection.execute(query)
                row = found.one_or_none()
            return None if row is None else Profile(*row)

        self.by_id = AsyncCached[uuid.UUID, Profile | None](
            lambda key: load(of_id(key)), column="id", ttl=ttl, size=size
        )
        self.by_name = AsyncCached[str, Profile | None](
            lambda name: load(of_name(name)), column="name", ttl=ttl, size=size
        )

    @property
    def channels(self) -> Mapping[str, Sequence[Subscriber]]:
        """What a `Listener` is to listen to, and for whom."""
        return {CHANNEL: [self.by_id, self.by_name]}
