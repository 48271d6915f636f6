"""The statements of the music application, and the conditions that its searches take."""

from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy import ColumnElement, DateTime, Text, Uuid, and_, bindparam, func, or_, select

from pgmodern.indexes.jsonb import Json, JsonbKeyIndex, Scalar
from pgmodern.queries.statement import Statement
from pgmodern.queries.text import storable
from pgmodern.reference.music.models import AIInteractionEmbedding, AILog, Archive, Artist, Track

ScalarKey = Literal["genre", "mood", "source", "year"]

ARTIST = select(Artist.id, Artist.name)
TRACK = select(Track.id, Track.title, Artist.name, Track.album).join_from(
    Track, Artist, Track.artist_id == Artist.id
)
ARCHIVE = select(
    Archive.id, Archive.user_id, Archive.name, Archive.playlist_data, Archive.created_at
)
EMBEDDING = select(
    AIInteractionEmbedding.ai_log_id,
    AIInteractionEmbedding.user_id,
    AIInteractionEmbedding.model_name,
    AILog.prompt,
    AILog.response,
).join_from(AIInteractionEmbedding, AILog, AIInteractionEmbedding.ai_log_id == AILog.id)


def holding(**keys: str | None) -> Json:
    """Return what the document of an archive contains that holds a track with these keys."""
    return {"tracks": [{key: storable(value) for key, value in keys.items() if value is not None}]}


def _key(name: ScalarKey) -> JsonbKeyIndex:
    index: JsonbKeyIndex = getattr(Archive, name)
    return index


def equal(name: ScalarKey, value: Scalar) -> ColumnElement[bool]:
    """Return the condition that a scalar key has a value."""
    return _key(name).equals(_scalar(value))


def _scalar(value: Scalar) -> Scalar:
    return storable(value) if isinstance(value, str) else value


def between(name: ScalarKey, low: Scalar | None, high: Scalar | None) -> ColumnElement[bool]:
    """Return the condition that a scalar key is in a range, both ends included."""
    bounds = (bound if bound is None else _scalar(bound) for bound in (low, high))
    return _key(name).between(*bounds)


# Made once, so that their statements are built once.
_OF_USER = AIInteractionEmbedding.user_id == bindparam("user_id", type_=Uuid)
_OF_MODEL = AIInteractionEmbedding.model_name == bindparam("model_name", type_=Text)
_SINCE = AIInteractionEmbedding.created_at >= bindparam("since", type_=DateTime(timezone=True))


def like_this(**values: Any) -> tuple[list[ColumnElement[bool]], dict[str, Any]]:
    """Return the conditions for the values that are given, and those values."""
    conditions = {"user_id": _OF_USER, "model_name": _OF_MODEL, "since": _SINCE}
    given = {name: value for name, value in values.items() if value is not None}
    return [conditions[name] for name in given], given


def pending(model_name: str, after: int, limit: int, changed: bool) -> Statement:
    """Select the next logs by id without an embedding; `changed`: or with one of other content."""
    content = func.concat_ws("\n", AILog.prompt, AILog.response)
    digest = func.encode(func.sha256(func.convert_to(content, "UTF8")), "hex")
    same_model = and_(
        AIInteractionEmbedding.ai_log_id == AILog.id,
        AIInteractionEmbedding.model_name == storable(model_name),
    )
    missing = AIInteractionEmbedding.id.is_(None)
    stale = or_(missing, AIInteractionEmbedding.content_hash != digest)
    return (
        select(AILog.id, AILog.user_id, content)
        .outerjoin(AIInteractionEmbedding, same_model)
        .where(AILog.id > after, stale if changed else missing)
        .order_by(AILog.id)
        .limit(limit)
    )


def still_there(ids: Sequence[int]) -> Statement:
    """Select which of the logs exist, and lock them against being deleted."""
    return select(AILog.id).where(AILog.id.in_(ids)).with_for_update(read=True, key_share=True)
