"""The audio models on a migrated database."""

import numpy as np
import pytest
from sqlalchemy import insert, inspect, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pgmodern.operations.replaced_column import is_own_name
from pgmodern.reference.audio import Base, Sample, SampleEmbedding, VibeAnalysis

INDEXES = {str(index.name) for table in Base.metadata.sorted_tables for index in table.indexes}


def test_every_declared_index_is_there_and_valid_and_no_redundant_one(session: Session) -> None:
    found = session.execute(
        text(
            "SELECT indexrelid::regclass::text, indisvalid FROM pg_index "
            "WHERE indrelid = ANY (CAST(:tables AS regclass[])) AND NOT indisunique"
        ),
        {"tables": [table.name for table in Base.metadata.sorted_tables]},
    )
    assert {row[0]: row[1] for row in found} == dict.fromkeys(INDEXES, True)
    assert len(INDEXES) == 5


def test_every_column_is_of_the_type_that_the_database_has(session: Session) -> None:
    inspector = inspect(session.connection())
    compiled = session.connection().dialect.type_compiler_instance
    for table in Base.metadata.sorted_tables:
        columns = inspector.get_columns(table.name)
        there = {each["name"]: each for each in columns if not is_own_name(each["name"])}
        assert set(there) == set(table.columns.keys())
        for column in table.columns:
            assert there[column.name]["nullable"] == column.nullable, column
            reflected = compiled.process(there[column.name]["type"])
            assert reflected == compiled.process(column.type), column


def test_defaults_are_the_server_s(session: Session) -> None:
    sample = Sample(title="x")
    session.add(sample)
    session.flush()
    session.add_all(
        [
            VibeAnalysis(sample_id=sample.id),
            SampleEmbedding(sample_id=sample.id, vibe_vector=np.ones(1536)),
        ]
    )
    session.flush()
    session.expire_all()
    assert (sample.tags, sample.created_at.tzinfo is not None) == ([], True)
    assert session.get_one(VibeAnalysis, 1).descriptors == []
    assert session.get_one(SampleEmbedding, 1).vibe_vector.tolist() == [1.0] * 1536


def test_a_sample_has_one_embedding_and_one_analysis(session: Session) -> None:
    session.add(Sample(id=7, title="x"))
    session.flush()
    for model in (SampleEmbedding, VibeAnalysis):
        vector = {"vibe_vector": np.ones(1536)} if model is SampleEmbedding else {}
        statement = insert(model).values(sample_id=7, **vector)
        session.execute(statement)
        with pytest.raises(IntegrityError), session.begin_nested():
            session.execute(statement)
