"""IVFFlat indexes beside HNSW indexes: which are found, by the doctor and by the check."""

from typing import Any

import pytest
from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table

from pgmodern.doctor import Kind
from pgmodern.doctor.competing_indexes import examine
from pgmodern.indexes import HnswIndex
from pgmodern.types import Vector

pytestmark = pytest.mark.vector

SHOP = (
    "CREATE EXTENSION vector",
    "CREATE TABLE products (id int PRIMARY KEY, embedding vector(3), sold boolean)",
    "CREATE INDEX near ON products USING hnsw (embedding vector_cosine_ops)",
)
IVFFLAT = "CREATE INDEX rival ON products USING ivfflat"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("definition", "found"),
    [
        ("(embedding vector_cosine_ops) WITH (lists = 20)", True),
        ("(embedding vector_l2_ops)", False),
        ("(embedding vector_cosine_ops) WHERE sold", False),
        ("((embedding::halfvec(3)) halfvec_cosine_ops)", False),
    ],
)
def test_one_of_the_same_metric_and_rows_is_found(
    definition: str, found: bool, patient: Any
) -> None:
    patient.execute(*SHOP, f"{IVFFLAT} {definition}")
    kinds = [finding["kind"] for finding in patient.findings(Kind.COMPETING_INDEX)]
    assert kinds == (["competing-index"] if found else [])


def test_of_expressions_too_and_its_cure_drops_it(patient: Any) -> None:
    expression = "((embedding::halfvec(3)) halfvec_cosine_ops)"
    half = f"CREATE INDEX half ON products USING hnsw {expression}"
    patient.execute(*SHOP, half, f"{IVFFLAT} {expression}")
    (finding,) = patient.findings(Kind.COMPETING_INDEX)
    assert finding["cure"] == "op.drop_index_online('rival')"
    assert "in the place of half" in finding["detail"]
    patient.cure(finding)
    assert patient.names(Kind.COMPETING_INDEX) == []


def test_the_check_of_declared_indexes_says_it(patient: Any) -> None:
    metadata = MetaData()
    embedding = Column("embedding", Vector(3))
    HnswIndex("near", embedding)
    Table("products", metadata, Column("id", Integer, primary_key=True), embedding)
    patient.execute(*SHOP, f"{IVFFLAT} (embedding vector_cosine_ops)")
    engine: Engine = patient.engine
    connection: Connection
    with engine.connect() as connection:
        (finding,) = examine(connection, [metadata])
        assert (finding.name, finding.ok) == ("rival", False)
        assert list(examine(connection, [MetaData()])) == []
