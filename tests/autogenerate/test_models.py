"""Random models: created and changed into one another, and nothing is left to do."""

import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import MetaData

from tests.autogenerate.conftest import Project
from tests.autogenerate.models import models

EXAMPLES = 50


@pytest.mark.contrib
@pytest.mark.vector
def test_random_models(
    project: Project,
    request: pytest.FixtureRequest,
    tried: Counter[str],
    record_property: Callable[[str, object], None],
) -> None:
    project.drop_undeclared = True
    asked = request.config.getoption("--models")
    virtual = project.version >= 18
    versions = project.path / "migrations" / "versions"

    @settings(
        max_examples=asked or EXAMPLES,
        derandomize=asked is None,  # what fails then is what has changed since
        deadline=None,
        suppress_health_check=list(HealthCheck),
        print_blob=True,
    )
    @given(models(virtual=virtual), models(virtual=virtual))
    def change(before: MetaData, after: MetaData) -> None:
        begin_anew(project, versions)
        for metadata in (before, after):
            written = project.revise(metadata)
            project.upgrade(metadata)
            assert project.differences(metadata) == []
            assert len(project.script().get_heads()) == 1
        project.downgrade(after, len(written))
        assert project.differences(before, without=written) == []
        tried["pairs of random models"] += 1

    change()
    record_property("random models", tried["pairs of random models"])


def begin_anew(project: Project, versions: Path) -> None:
    """Empty the database and the project; extensions stay."""
    project.execute(
        "DROP TABLE IF EXISTS songs, artists, events, alembic_version, pgmodern_created CASCADE; "
        "DROP TEXT SEARCH CONFIGURATION IF EXISTS simple_unaccent, english_unaccent"
    )
    project.execute(
        "DO $$ DECLARE f regprocedure; BEGIN FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = "
        "'public'::regnamespace AND prorettype = 'trigger'::regtype AND proname ~ '_[0-9a-f]{8}$' "
        "LOOP EXECUTE 'DROP FUNCTION ' || f; END LOOP; END $$"
    )
    shutil.rmtree(versions)
    versions.mkdir()
