"""The statements of the audio application that queries/ does not make."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Double,
    Float,
    Integer,
    Label,
    Numeric,
    SQLColumnExpression,
    Text,
    bindparam,
    cast,
    exists,
    func,
    literal,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql.json import JSONPATH
from sqlalchemy.orm import aliased

from pgmodern.queries import nearest, with_payload
from pgmodern.queries.statement import Statement, rows
from pgmodern.queries.text import storable
from pgmodern.reference.audio.models import Sample, SampleEmbedding, VibeAnalysis

THRESHOLD = 0.7  # how alike samples are, at least, where nobody says
_WITH_ANALYSIS = VibeAnalysis.sample_id == Sample.id
SAMPLE = (
    select(
        Sample.id,
        Sample.title,
        Sample.genre,
        Sample.musical_key,
        Sample.bpm,
        Sample.duration_s,
        VibeAnalysis.mood,
        VibeAnalysis.energy,
        VibeAnalysis.descriptors,
    )
    .join_from(SampleEmbedding, Sample, SampleEmbedding.sample_id == Sample.id)
    .outerjoin(VibeAnalysis, _WITH_ANALYSIS)
)

# Made once, so that the statements with them are built once.
_ON_SAMPLES = {
    "bpm_min": Sample.bpm >= bindparam("bpm_min", type_=Double),
    "bpm_max": Sample.bpm <= bindparam("bpm_max", type_=Double),
    "genre": Sample.genre == bindparam("genre", type_=Text),
    "musical_key": Sample.musical_key == bindparam("musical_key", type_=Text),
}
_ON_ANALYSES = {
    "energy_min": VibeAnalysis.energy >= bindparam("energy_min", type_=Double),
    "energy_max": VibeAnalysis.energy <= bindparam("energy_max", type_=Double),
}


def restricted(
    **filters: float | str | None,
) -> tuple[tuple[ColumnElement[bool], ...], dict[str, Any]]:
    """Return the conditions for the filters that are given, and their values."""
    given = {
        name: storable(value) if isinstance(value, str) else value
        for name, value in filters.items()
        if value is not None
    }
    return _restricted_to(frozenset(given)), given


@lru_cache
def _restricted_to(names: frozenset[str]) -> tuple[ColumnElement[bool], ...]:
    """Return the conditions on an embedding that its sample meets the named filters."""
    found = []
    for key, conditions in ((Sample.id, _ON_SAMPLES), (VibeAnalysis.sample_id, _ON_ANALYSES)):
        chosen = [condition for name, condition in conditions.items() if name in names]
        if chosen:
            found.append(SampleEmbedding.sample_id.in_(select(key).where(*chosen)))
    return tuple(found)


@lru_cache
def similar(limit: int) -> Statement:
    """Select a sample that is embedded, if it is, beside each of those that are most like it.

    Parameters: `sample_id` and `threshold`. One that nothing is like comes alone.
    """
    sample_id, threshold = (
        bindparam("sample_id", type_=Integer),
        bindparam("threshold", type_=Float),
    )
    asked = aliased(SampleEmbedding, name="asked")
    vector = select(asked.vibe_vector).where(asked.sample_id == sample_id).scalar_subquery()
    # With itself, as one that leaves itself out would count and filter.
    found = nearest(SampleEmbedding.vibe_hnsw, vector, limit + 1, threshold=threshold)
    others = with_payload(SAMPLE, found, SampleEmbedding.vibe_hnsw)
    hits = others.where(Sample.id != sample_id).limit(rows(limit)).subquery("hits")
    return (
        select(asked.sample_id, hits)
        .outerjoin_from(asked, hits, true())
        .where(asked.sample_id == sample_id)
        .order_by(hits.c.score.desc())
    )


def _words(descriptors: SQLColumnExpression[Any]) -> ColumnElement[str]:
    """The strings in a document, at whatever depth, in their order."""
    path = literal('strict $.** ? (@.type() == "string")', JSONPATH)
    found = func.jsonb_path_query(descriptors, path).table_valued("word").render_derived()
    word = found.c.word.op("#>>")(literal_column("'{}'"))
    return select(func.string_agg(word, ", ")).scalar_subquery()


def _content() -> Label[str]:
    """The text to embed: as somebody would look for it, without names of columns."""
    parts = (
        Sample.title,
        VibeAnalysis.mood,
        _words(VibeAnalysis.descriptors),
        Sample.genre,
        Sample.musical_key,
        func.round(cast(Sample.bpm, Numeric)).concat(" bpm"),
        literal("energy ", Text).concat(func.round(cast(VibeAnalysis.energy, Numeric), 2)),
    )
    said = (func.nullif(cast(part, Text), "") for part in parts)
    return func.concat_ws(", ", *said, type_=Text).label("content")


def pending(model_name: str, after: int, limit: int, everything: bool) -> Statement:
    """Select the next samples without an embedding; `everything`: or with one of another text."""
    texts = (
        select(
            Sample.id,
            _content(),
            SampleEmbedding.id.label("embedding"),
            SampleEmbedding.embedding_source,
            SampleEmbedding.content_hash,
        )
        .outerjoin_from(Sample, VibeAnalysis, _WITH_ANALYSIS)
        .outerjoin(SampleEmbedding, SampleEmbedding.sample_id == Sample.id)
        .where(Sample.id > after)
        .subquery("texts")
    )
    digest = func.encode(func.sha256(func.convert_to(texts.c.content, "UTF8")), "hex")
    stale = or_(
        texts.c.embedding_source.is_distinct_from(model_name),
        texts.c.content_hash.is_distinct_from(digest),
    )
    missing = texts.c.embedding.is_(None)
    return (
        select(texts.c.id, texts.c.content)
        .where(or_(missing, stale) if everything else missing)
        .order_by(texts.c.id)
        .limit(limit)
    )


def missing() -> Statement:
    """Count the samples that have no embedding."""
    embedded = exists().where(SampleEmbedding.sample_id == Sample.id)
    return select(func.count()).select_from(Sample).where(~embedded)


def still_there(ids: Sequence[int]) -> Statement:
    """Select which of the samples exist, and lock them against being deleted."""
    return select(Sample.id).where(Sample.id.in_(ids)).with_for_update(read=True, key_share=True)
