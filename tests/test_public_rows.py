"""Public rows have a field for each column that is selected; constants are what they say."""

from dataclasses import fields
from importlib.metadata import version
from typing import Any, get_args

import pytest

import pgmodern
from pgmodern import doctor, lint
from pgmodern.doctor.partitioning import Verdict
from pgmodern.queries import Count
from pgmodern.reference.audio import SampleHit, SampleRepository
from pgmodern.reference.chat import (
    ConversationRow,
    InfluencerHit,
    InfluencerRepository,
    MessageHit,
    MessageRow,
)
from pgmodern.reference.chat.statements import CONVERSATION, MESSAGE
from pgmodern.reference.fragrance import (
    Event,
    FragranceHit,
    FragranceRelationship,
    FragranceRelationshipRepository,
    FragranceRepository,
    UserInteractionEvent,
    UserInteractionEventRepository,
)
from pgmodern.reference.music import (
    AIInteractionEmbeddingRepository,
    ArchiveHit,
    ArchiveRepository,
    ArtistHit,
    ArtistRepository,
    EmbeddingHit,
    TrackHit,
    TrackRepository,
)

pytestmark = pytest.mark.quick
ROWS = {
    ArtistRepository: ArtistHit,
    TrackRepository: TrackHit,
    ArchiveRepository: ArchiveHit,
    AIInteractionEmbeddingRepository: EmbeddingHit,
    InfluencerRepository: InfluencerHit,
    SampleRepository: SampleHit,
    FragranceRepository: FragranceHit,
    UserInteractionEventRepository: Event,
}


def names(row: Any) -> list[str]:
    """Return the fields of a row that a search does not add."""
    return [each.name for each in fields(row) if each.name not in {"score", "highlight"}]


@pytest.mark.parametrize(("repository", "row"), ROWS.items(), ids=lambda each: each.__name__)
def test_a_row_has_a_field_for_each_column_that_is_selected(repository: Any, row: Any) -> None:
    assert repository.row is row
    assert len(names(row)) - ("similarity" in names(row)) == len(
        repository.payload.selected_columns
    )


def test_rows_of_a_chat_are_what_its_statements_select() -> None:
    assert len(names(MessageRow)) == len(MESSAGE.selected_columns)
    assert names(MessageHit) == names(MessageRow)
    assert names(ConversationRow)[:-1] == [
        "id",
        "user_id",
        "influencer_id",
        "metadata",
        "created_at",
        "updated_at",
    ]
    assert len(names(ConversationRow)) - 1 == len(CONVERSATION.selected_columns)


def test_models_are_the_tables_that_are_written_in_bulk() -> None:
    assert FragranceRelationshipRepository.table is FragranceRelationship.__table__
    assert UserInteractionEventRepository.table is UserInteractionEvent.__table__


def test_a_count_says_how_good_it_is() -> None:
    assert [each.name for each in fields(Count)] == ["count", "is_estimate", "as_of"]


def test_constants_are_what_their_types_say() -> None:
    assert get_args(lint.Severity) == lint.SEVERITIES
    assert "error" in get_args(doctor.Severity)
    assert lint.LARGE > 0
    assert len(get_args(Verdict)) > 1
    assert pgmodern.__version__ == version("pgmodern")
