"""What the fragrance application asks that no query of the toolkit answers by itself."""

from functools import lru_cache
from typing import Any

from sqlalchemy import (
    CTE,
    Boolean,
    ColumnElement,
    DateTime,
    Double,
    Insert,
    Integer,
    Text,
    Update,
    Uuid,
    bindparam,
    cast,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    union_all,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import Delete

from pgmodern.queries import (
    Graph,
    Reach,
    Stage,
    nearest,
    page,
    reachable,
    staged,
    with_payload,
)
from pgmodern.queries import paths as paths_to
from pgmodern.queries.statement import Statement, rows
from pgmodern.reference.fragrance.models import (
    EMBEDDING_DIMENSIONS,
    AlgorithmPerformance,
    Base,
    Fragrance,
    FragranceEmbedding,
    FragranceEmbeddingVersion,
    FragranceRelationship,
    UserInteractionEvent,
)
from pgmodern.types import HalfVector

# How many times the rows asked for are kept at 128 and at 512 dimensions, so that this part of
# the truly nearest is among them. It depends on the model: `python -m benchmarks fragrance`
# measures it where 128 dimensions carry three quarters of what 2,048 do.
OVERSAMPLING = {0.95: (20, 2), 0.99: (150, 8)}
MIRRORED = 1  # the version that follows `fragrances.embedding`

FRAGRANCE = select(
    Fragrance.id,
    Fragrance.name,
    Fragrance.brand,
    Fragrance.rating_value,
    Fragrance.rating_count,
)
_WORDS = Fragrance.search.query(bindparam("words", type_=Text))
# Made once, as are the statements below: the values come with the call.
FILTERS: dict[str, ColumnElement[bool]] = {
    "brand": Fragrance.brand == bindparam("brand", type_=Text),
    "accords": Fragrance.accords_gin.contains(bindparam("accords", type_=Text)),
    "min_rating": Fragrance.rating_value >= bindparam("min_rating", type_=Double),
    "words": Fragrance.search.matches(_WORDS),
}
_ID = bindparam("fragrance_id", type_=Uuid)
_CURRENT = select(FragranceEmbeddingVersion.version).where(FragranceEmbeddingVersion.is_current)


def oversampling(recall: float) -> tuple[int, int]:
    """Return how many times as many rows to keep at 128 and at 512 dimensions.

    Raises ValueError for a recall above those that were measured.
    """
    enough = [each for each in OVERSAMPLING if each >= recall]
    if not enough:
        raise ValueError(f"a recall of at most {max(OVERSAMPLING)} can be asked for: {recall}")
    return OVERSAMPLING[min(enough)]


@lru_cache
def similar(
    k: int, kept: tuple[int, int], *filters: str, to_fragrance: bool = False, popular: bool = False
) -> Statement:
    """Select the `k` fragrances nearest to a fragrance, or to a vector, by the current version.

    At 128 dimensions by the index, then at 512 and at 2,048. The popular ones have an index of
    their own, on `fragrances.embedding`: it answers while the version that mirrors that column is
    the current one, and what it cannot answer goes the other way.
    """
    sought = _sought_fragrance() if to_fragrance else _sought_vector()
    conditions = [FILTERS[name] for name in filters]
    if not popular:
        return _shown(_by_stages(k, kept, sought, conditions, to_fragrance))
    by_stages = _by_stages(
        k, kept, sought, [*conditions, *Fragrance.popular_hnsw.conditions], to_fragrance, popular
    )
    return _shown(union_all(_popular(k, sought, conditions, to_fragrance), by_stages))


def _shown(found: Any) -> Statement:
    legs = found.subquery("legs")
    best = select(legs).order_by(legs.c.score.desc())
    return with_payload(FRAGRANCE, best, Fragrance.embedding_hnsw)


def _sought_fragrance() -> CTE:
    embedding = FragranceEmbedding
    whole = (embedding.embedding, embedding.embedding_512, embedding.embedding_128)
    current = embedding.version == _CURRENT.scalar_subquery()
    return select(*whole).where(embedding.fragrance_id == _ID, current).cte("sought")


def _sought_vector() -> CTE:
    vector = bindparam("vector", type_=HalfVector(EMBEDDING_DIMENSIONS))
    prefixes = (
        func.subvector(vector, 1, dimensions, type_=HalfVector(dimensions)).label(
            f"embedding_{dimensions}"
        )
        for dimensions in (512, 128)
    )
    return select(vector.label("embedding"), *prefixes).cte("sought")


def _at(sought: CTE, column: str) -> ColumnElement[Any]:
    return select(sought.c[column]).scalar_subquery()


def _by_stages(
    k: int,
    kept: tuple[int, int],
    sought: CTE,
    filters: list[ColumnElement[bool]],
    to_fragrance: bool,
    popular: bool = False,
) -> Statement:
    embedding, (coarse, fine) = FragranceEmbedding, kept
    stages = [
        Stage(embedding.hnsw_128, _at(sought, "embedding_128"), coarse * k),
        Stage(embedding.hnsw_512, _at(sought, "embedding_512"), fine * k),
        Stage(embedding.hnsw, _at(sought, "embedding"), k),
    ]
    current = _CURRENT.scalar_subquery()
    where = [embedding.version == current, exists(select(sought.c.embedding))]
    if filters:
        where.append(embedding.fragrance_id.in_(select(Fragrance.id).where(*filters)))
    if to_fragrance:
        where.append(embedding.fragrance_id != _ID)
    if popular:
        where.append(current != MIRRORED)
    found = staged(stages, where=where).subquery("staged")
    return select(found.c.fragrance_id.label("id"), found.c.score)


def _popular(
    k: int, sought: CTE, filters: list[ColumnElement[bool]], to_fragrance: bool
) -> Statement:
    where = [_CURRENT.scalar_subquery() == MIRRORED, exists(select(sought.c.embedding))]
    where += [func.has_direction(Fragrance.embedding, type_=Boolean), *filters]
    if to_fragrance:
        where.append(Fragrance.id != _ID)
    return nearest(Fragrance.popular_hnsw, _at(sought, "embedding"), k, where=where)


# --- versions of embeddings

_VERSION = bindparam("of_version", type_=Integer)
_ROW = tuple_(FragranceEmbedding.fragrance_id, FragranceEmbedding.version)


@lru_cache
def without_embedding(limit: int) -> Statement:
    """Select the next fragrances by id, after the one given, that a version has not embedded."""
    embedded = exists().where(
        FragranceEmbedding.fragrance_id == Fragrance.id, FragranceEmbedding.version == _VERSION
    )
    after = bindparam("after", type_=Uuid)
    unseen = or_(after.is_(None), Fragrance.id > after)
    return select(Fragrance.id).where(unseen, ~embedded).order_by(Fragrance.id).limit(rows(limit))


def switch() -> Update:
    """Make a version the current one, unless it is not there or being removed.

    Who switches at the same time waits, and decides by what the other has left: the versions are
    locked in their order, and read as they are then.
    """
    version = FragranceEmbeddingVersion
    columns = version.version, version.is_current, version.is_retired
    every = select(*columns).order_by(version.version).with_for_update().cte("every")
    wanted = every.alias("wanted")
    usable = exists().where(wanted.c.version == _VERSION, ~wanted.c.is_retired)
    return (
        update(version)
        .where(version.version == every.c.version, usable)
        .where(or_(every.c.is_current, every.c.version == _VERSION))
        .values(is_current=version.version == _VERSION)
    )


def retire() -> Update:
    """Have nothing written to a version any more, unless it is the current one."""
    version = FragranceEmbeddingVersion
    ours = version.version == _VERSION
    return update(version).where(ours, ~version.is_current).values(is_retired=True)


@lru_cache
def remove(batch: int) -> Statement:
    """Delete the next embeddings of a version by fragrance; select the last."""
    after = bindparam("after", type_=Uuid)
    unseen = or_(after.is_(None), FragranceEmbedding.fragrance_id > after)
    old = (
        select(FragranceEmbedding.fragrance_id, FragranceEmbedding.version)
        .where(FragranceEmbedding.version == _VERSION, unseen)
        .order_by(FragranceEmbedding.fragrance_id)
        .limit(rows(batch))
    )
    gone = delete(FragranceEmbedding).where(_ROW.in_(old))
    removed = gone.returning(FragranceEmbedding.fragrance_id).cte("removed")
    last = func.max(cast(removed.c.fragrance_id, Text))
    return select(cast(last, Uuid))


def forget() -> Delete:
    """Delete a version that is retired; its embeddings must be gone."""
    version = FragranceEmbeddingVersion
    return delete(version).where(version.version == _VERSION, version.is_retired)


# --- what users do, what belongs together, what pleases

EVENT = select(
    UserInteractionEvent.id,
    UserInteractionEvent.user_id,
    UserInteractionEvent.fragrance_id,
    UserInteractionEvent.event_type,
    UserInteractionEvent.details,
    UserInteractionEvent.timestamp,
)
NEWEST_FIRST = (UserInteractionEvent.timestamp, UserInteractionEvent.id)


@lru_cache
def latest(size: int, follows: bool) -> Statement:
    """Select a page of a user's events, the newest first."""
    of_user = UserInteractionEvent.user_id == bindparam("user_id", type_=Uuid)
    order = tuple(each.__clause_element__() for each in NEWEST_FIRST)
    after = (bindparam("after_timestamp", type_=DateTime(True)), bindparam("after_id", type_=Uuid))
    return page(EVENT.where(of_user), order, after if follows else None, size)


@lru_cache
def neighbours(limit: int, of_kind: bool) -> Statement:
    """Select the fragrances that belong most strongly to one, and how."""
    edge = FragranceRelationship
    strongest = select(
        edge.related_id, Fragrance.name, Fragrance.brand, edge.kind, edge.weight, edge.confidence
    ).join_from(edge, Fragrance, Fragrance.id == edge.related_id)
    where = [edge.fragrance_id == _ID]
    if of_kind:
        where.append(edge.kind == bindparam("kind", type_=Text))
    return strongest.where(*where).order_by(edge.weight.desc()).limit(rows(limit))


RELATED = Graph(
    Base.metadata.tables[FragranceRelationship.__tablename__],
    source="fragrance_id",
    target="related_id",
    kind="kind",
    weight="weight",
)


@lru_cache
def paths(reach: Reach, limit: int, to_one: bool, of_kind: bool) -> Statement:
    """Select the strongest paths from a fragrance to one, or to each that can be reached."""
    where = [RELATED.table.c.kind == bindparam("kind", type_=Text)] if of_kind else []
    found = (paths_to if to_one else reachable)(RELATED, reach, limit, *where).subquery("paths")
    shown = select(
        found.c.node, Fragrance.name, Fragrance.brand, found.c.weight, found.c.nodes, found.c.kinds
    )
    ended = shown.join_from(found, Fragrance, Fragrance.id == found.c.node)
    return ended.order_by(found.c.weight.desc(), found.c.nodes, found.c.kinds)


def beliefs() -> Statement:
    """Select what is known of the algorithms in a context."""
    known = AlgorithmPerformance
    context = known.context == bindparam("context", type_=Text)
    return select(known.algorithm, known.alpha, known.beta).where(context)


def reward() -> Insert:
    """Add to what is known of an algorithm, atomically; select what is known then."""
    known, new = AlgorithmPerformance, {"successes": "alpha", "failures": "beta"}
    added = {column: bindparam(name, type_=Double) for name, column in new.items()}
    first = insert(known).values(
        context=bindparam("context", type_=Text),
        algorithm=bindparam("algorithm", type_=Text),
        **{column: 1 + value for column, value in added.items()},
    )
    grown = {column: getattr(known, column) + value for column, value in added.items()}
    return first.on_conflict_do_update(
        index_elements=[known.context, known.algorithm],
        set_={**grown, "updated_at": func.now()},
    ).returning(known.algorithm, known.alpha, known.beta)
