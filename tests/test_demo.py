"""`pgmodern demo`: every question is answered by an index, the second time as well."""

import io

import pytest
from rich.console import Console
from sqlalchemy import URL, Engine, create_engine

from pgmodern import demo
from pgmodern.embedders import LocalEmbedder
from pgmodern.errors import MigrationError


def test_each_question_has_an_answer_and_an_index_and_twice_is_the_same(engine: Engine) -> None:
    shown = []
    for _ in range(2):
        console = Console(file=io.StringIO(), width=200)
        demo.run(engine, LocalEmbedder(), console)
        shown.append(console.file.getvalue())  # type: ignore[attr-defined]
    for text in shown:
        assert "4,982 songs and 250 playlists" in text
        assert "Bohemian Rhapsody, Queen" in text
        assert "The Beatles" in text
        assert "(nothing)" not in text
        assert "sequential scan" not in text
        for index in (
            "ix_tracks_title_trgm",
            "ix_artists_name_trgm",
            "ix_tracks_search_vector",
            "ix_archives_playlist_data",
            "ix_archives_year",
            "ix_ai_interaction_embeddings_embedding",
        ):
            assert index in text


def test_without_a_model_all_but_the_search_by_meaning_is_answered(engine: Engine) -> None:
    console = Console(file=io.StringIO(), width=200)
    demo.run(engine, None, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "Bohemian Rhapsody, Queen" in shown
    assert "ix_archives_year" in shown
    assert "More like this" not in shown


@pytest.mark.quick
@pytest.mark.local
def test_without_the_schema_it_says_what_to_run(empty_database_url: URL) -> None:
    engine = create_engine(empty_database_url)
    with pytest.raises(MigrationError, match="alembic upgrade head"):
        demo.run(engine, LocalEmbedder(), Console(file=io.StringIO()))
    engine.dispose()
