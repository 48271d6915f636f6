"""What `run()` hands on to Alembic: filters, where versions are kept, hooks."""

from typing import Any

import pytest
from pgvector.sqlalchemy import HALFVEC
from sqlalchemy import Column, Integer, Text, text

from pgmodern.engine import create_engine
from pgmodern.errors import SettingsError
from pgmodern.types import SparseVector, Vector
from tests.autogenerate.changes import column, index, songs, vectors
from tests.autogenerate.conftest import Project


def test_what_is_not_wanted_is_left_alone(project: Project) -> None:
    project.options = {
        "include_object": lambda _object, name, *_: name != "ix",
        "include_name": lambda name, type_, _: (type_, name) != ("table", "alien"),
    }
    metadata = songs(index("title"), index("album", name="ix_album"))
    project.revise(metadata)
    project.upgrade(metadata)
    project.execute("CREATE TABLE alien (id int)")
    assert project.differences(metadata) == []
    project.options = {}
    assert len(project.differences(metadata)) == 2


def test_versions_may_be_in_another_schema(project: Project) -> None:
    project.execute("CREATE SCHEMA kept")
    project.options = {"version_table": "versions", "version_table_schema": "kept"}
    metadata = songs()
    project.revise(metadata)
    project.upgrade(metadata)
    assert project.differences(metadata) == []
    project.execute("SELECT version_num FROM kept.versions")


@pytest.mark.quick
def test_defaults_are_compared_when_that_is_asked_for(project: Project) -> None:
    before = songs(column("n", Integer, server_default=text("1")))
    after = songs(column("n", Integer, server_default=text("2")))
    project.revise(before)
    project.upgrade(before)
    assert project.differences(after) == []
    project.options = {"compare_server_default": True}
    written = project.revise(after)
    project.upgrade(after)
    assert project.differences(after) == []
    project.downgrade(after, len(written))
    assert project.differences(before, without=written) == []


def test_a_hook_of_the_application_s_runs_first(project: Project) -> None:
    def empty(_context: Any, _revision: Any, scripts: list[Any]) -> None:
        if scripts[0].upgrade_ops.is_empty():
            scripts[:] = []

    project.options = {"process_revision_directives": empty}
    metadata = songs()
    assert len(project.revise(metadata)) == 1
    project.upgrade(metadata)
    assert project.revise(metadata) == []


@pytest.mark.quick
def test_what_is_run_s_own_is_refused(project: Project) -> None:
    project.options = {"transactional_ddl": False}
    with pytest.raises(SettingsError, match="does not take transactional_ddl"):
        project.revise(songs())


def test_the_engine_may_be_one_of_ours(project: Project) -> None:
    project.engine = create_engine(project.url)
    before, after = songs(index("title")), songs(index("title", "album"), column("more2", Text))
    for metadata in (before, after):
        project.revise(metadata)
        project.upgrade(metadata)
        assert project.differences(metadata) == []
    project.engine.dispose()


@pytest.mark.quick
def test_a_revision_may_have_an_id_of_its_own(project: Project) -> None:
    before, after = songs(), songs(column("lyrics", Text), index("lyrics"))
    project.revise(before)
    project.upgrade(before)
    project.revise(after, rev_id="0002")
    revisions = [each.revision for each in project.script().walk_revisions()]
    assert revisions[:2] == ["0002_2", "0002"]
    project.upgrade(after)
    assert project.differences(after) == []
    assert isinstance(after.tables["songs"].c.lyrics, Column)


def test_a_revision_imports_types_from_where_they_are_public(project: Project) -> None:
    kinds = Vector(3), SparseVector(3), HALFVEC(3)
    (revision,) = project.revise(songs(vectors(*kinds)))
    imports = [line for line in revision.read_text().splitlines() if line.startswith("from ")]
    assert imports == [
        "from alembic import op",
        "from pgmodern import SparseVector, Vector",
        "from pgvector.sqlalchemy import HALFVEC",
        "from sqlalchemy.dialects import postgresql",
    ]
