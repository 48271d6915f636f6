"""Which indexes a statement uses."""

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pgmodern.queries.explain import Explain, indexes_used
from pgmodern.reference.music import Artist


def test_a_plan_is_shown_and_nothing_is_run(session: Session) -> None:
    session.add(Artist(name="Nena"))
    session.flush()
    plan = session.scalar(Explain(delete(Artist)))
    assert "Delete" in str(plan)
    assert session.scalars(select(Artist.name)).all() == ["Nena"]


def test_a_statement_with_parameters_is_explained(session: Session) -> None:
    plan = session.scalar(Explain(select(Artist).where(Artist.id == 7)))
    assert indexes_used(plan) == ["artists_pkey"]


def test_a_verbose_plan_names_the_schema(session: Session) -> None:
    (plan,) = session.scalar(Explain(select(Artist), verbose=True)) or []
    assert (plan["Plan"]["Schema"], plan["Plan"]["Relation Name"]) == ("public", "artists")


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        ([], []),
        ([{"Plan": {"Node Type": "Seq Scan", "Relation Name": "Index Name"}}], []),
        (
            [
                {
                    "Plan": {
                        "Node Type": "Append",
                        "Plans": [
                            {"Index Name": "b", "Plans": [{"Index Name": "a"}]},
                            {"Index Name": "b"},
                            {"InitPlan": {"Index Name": "c"}},
                        ],
                    }
                }
            ],
            ["b", "a", "c"],
        ),
    ],
)
def test_the_indexes_of_a_plan_are_named_once_and_in_order(
    plan: object, expected: list[str]
) -> None:
    assert indexes_used(plan) == expected
