"""The music models on a migrated database."""

import uuid
from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, func, insert, inspect, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, undefer

from pgmodern.indexes import DeclaredIndex
from pgmodern.reference.music import (
    AIInteractionEmbedding,
    AILog,
    Archive,
    Artist,
    Base,
    Track,
    UnreadableArchive,
)

DECLARED = [
    index
    for table in Base.metadata.sorted_tables
    for index in table.indexes
    if isinstance(index, DeclaredIndex)
]


def test_every_declared_index_is_there_and_valid(session: Session) -> None:
    found = text(
        "SELECT indexrelid::regclass::text, indisvalid FROM pg_index "
        "WHERE indexrelid::regclass::text = ANY (:names)"
    )
    names = [str(index.name) for index in DECLARED]
    valid = {row[0]: row[1] for row in session.execute(found, {"names": names})}
    assert valid == dict.fromkeys(names, True)
    assert len(names) == 10


def test_every_column_is_of_the_type_that_the_database_has(session: Session) -> None:
    inspector = inspect(session.connection())
    for table in Base.metadata.sorted_tables:
        reflected = {column["name"]: column for column in inspector.get_columns(table.name)}
        assert set(reflected) == set(table.columns.keys())
        for column in table.columns:
            there = reflected[column.name]
            assert there["nullable"] == column.nullable, column
            compiled = session.connection().dialect.type_compiler_instance
            assert compiled.process(there["type"]) == compiled.process(column.type), column


def _track(session: Session, title: str, album: str | None) -> Track:
    artist = Artist(name="Beyoncé")
    session.add(artist)
    session.flush()
    track = Track(artist_id=artist.id, title=title, album=album)
    session.add(track)
    session.flush()
    return track


def test_the_words_of_a_track_are_kept_with_their_weight(session: Session) -> None:
    track = _track(session, "Déjà Vu", "B'Day")
    shown = text("SELECT search_vector::text FROM tracks")
    assert session.scalar(shown) == "'b':3B 'day':4B 'deja':1A 'vu':2A"
    track.album = None
    session.flush()
    assert session.scalar(shown) == "'deja':1A 'vu':2A"
    artists = text("SELECT search_vector::text FROM artists")
    assert session.scalar(artists) == "'beyonce':1A"


def test_the_words_are_read_only_when_they_are_asked_for(session: Session) -> None:
    _track(session, "Halo", None)
    session.expunge_all()
    assert "search_vector" not in str(select(Track))
    track = session.scalars(select(Track).options(undefer(Track.search_vector))).one()
    assert track.search_vector is not None


def test_defaults_are_the_server_s(session: Session) -> None:
    archive = Archive(user_id=uuid.uuid4(), name="x", playlist_data={"tracks": []})
    log = AILog(prompt="hello")
    session.add_all([archive, log])
    session.flush()
    assert archive.created_at == log.created_at == session.scalar(select(func.now()))
    assert isinstance(archive.id, uuid.UUID)
    assert log.id > 0


def _embedding(log: AILog, **values: Any) -> AIInteractionEmbedding:
    given = {"model_name": "m", "content_hash": "h", "embedding": np.ones(1536)} | values
    return AIInteractionEmbedding(ai_log_id=log.id, **given)


def test_a_log_has_one_embedding_of_a_model_and_takes_it_along(session: Session) -> None:
    log = AILog(prompt="hello")
    session.add(log)
    session.flush()
    session.add_all([_embedding(log), _embedding(log, model_name="other")])
    session.flush()
    savepoint = session.begin_nested()
    session.add(_embedding(log))
    with pytest.raises(IntegrityError):
        session.flush()
    savepoint.rollback()
    session.execute(delete(AILog))
    assert session.scalar(select(func.count()).select_from(AIInteractionEmbedding)) == 0


@pytest.mark.quick
def test_an_unreadable_archive_takes_its_reason_along(session: Session) -> None:
    archive = Archive(user_id=uuid.uuid4(), name="x", playlist_data="nonsense")
    session.add(archive)
    session.flush()
    session.add(UnreadableArchive(archive_id=archive.id, reason="is a string"))
    session.flush()
    session.execute(delete(Archive))
    assert session.scalar(select(func.count()).select_from(UnreadableArchive)) == 0


ODD_DOCUMENTS: list[Any] = [
    None,
    [],
    "text",
    7,
    {"year": "1999", "genre": 5, "mood": ["x"], "source": {"a": None}},
    {"year": 10**4000, "genre": "x" * 100_000, "mood": "\U0001f600" * 5000},
    {"year": 1e308, "genre": None, "mood": True},
]


@pytest.mark.parametrize("document", ODD_DOCUMENTS, ids=lambda each: type(each).__name__)
def test_any_document_can_be_archived(document: Any, session: Session) -> None:
    values = {"user_id": uuid.uuid4(), "name": "x", "playlist_data": document}
    assert session.scalar(insert(Archive).values(values).returning(Archive.id)) is not None


@pytest.mark.parametrize(
    "title",
    [
        "",
        "\x01 <>&",
        "é" * 5000,
        "x" * 1_000_000,
        "word " * 200_000,
        " ".join(map(str, range(200_000))),
    ],
    ids=["empty", "odd", "long word", "longer word", "words", "more words than tsvector holds"],
)
def test_any_title_can_be_stored(title: str, session: Session) -> None:
    assert _track(session, title, title).id > 0
