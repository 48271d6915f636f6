"""An env.py keeps what its metadata needs, and nothing that reaches for the database."""

import ast
from textwrap import dedent

import pytest

from pgmodern.project.rewriting import is_of_several_databases, rewritten, runs


@pytest.mark.quick
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            """
            import os
            from logging.config import fileConfig

            from alembic import context
            from sqlalchemy import create_engine

            from app.models import Base  # noqa: E402
            from app.settings import url

            target_metadata = Base.metadata
            engine = create_engine(url or os.environ["URL"])
            """,
            """
            from pgmodern import environment

            from app.models import Base  # noqa: E402

            environment.run(Base.metadata)
            """,
            id="what the metadata needs, with its comment",
        ),
        pytest.param(
            '''
            """The shop's migrations."""

            from alembic import context
            from sqlmodel import SQLModel

            import app.orders
            from app import products  # declares tables
            from app.customers import *

            target_metadata: object = SQLModel.metadata
            ''',
            '''
            """The shop's migrations."""

            from pgmodern import environment
            from sqlmodel import SQLModel

            import app.orders
            from app import products  # declares tables
            from app.customers import *

            environment.run(SQLModel.metadata)
            ''',
            id="docstring, and imports that declare tables",
        ),
        pytest.param(
            """
            import sys, os
            from alembic import context
            sys.path.append(os.getcwd())
            from shop import first, second, settings
            print(settings)

            target_metadata = [
                first.metadata,
                second.metadata,
            ]
            """,
            """
            import sys, os
            from pgmodern import environment
            sys.path.append(os.getcwd())
            from shop import first, second, settings

            environment.run([
                first.metadata,
                second.metadata,
            ])
            """,
            id="where modules are, and several metadata",
        ),
        pytest.param(
            """
            from alembic import context
            from sqlalchemy import MetaData
            from shop import tables

            @staticmethod
            def whole():
                metadata = MetaData()
                tables.add(metadata)
                return metadata

            target_metadata = None
            target_metadata = whole()
            """,
            """
            from pgmodern import environment
            from sqlalchemy import MetaData
            from shop import tables

            @staticmethod
            def whole():
                metadata = MetaData()
                tables.add(metadata)
                return metadata

            environment.run(whole())
            """,
            id="functions, and the last assignment",
        ),
        pytest.param(
            """
            # Alembic's

            # settings first
            from dotenv import find_dotenv, load_dotenv
            from alembic import context
            from importlib import import_module
            from shop import Base, load, url

            load_dotenv(find_dotenv())
            config = context.config
            config.set_main_option("sqlalchemy.url", url)
            load("orders")
            # these are all
            # of our tables
            for name in ("customers", "products"):
                import_module(f"shop.{name}")
            # add your model's MetaData object here
            # for 'autogenerate' support
            # from myapp import mymodel
            # target_metadata = mymodel.Base.metadata
            target_metadata = Base.metadata
            """,
            """
            # settings first
            from dotenv import find_dotenv, load_dotenv
            from pgmodern import environment
            from importlib import import_module
            from shop import Base, load, url

            load_dotenv(find_dotenv())
            load("orders")
            # these are all
            # of our tables
            for name in ("customers", "products"):
                import_module(f"shop.{name}")

            environment.run(Base.metadata)
            """,
            id="calls, and comments",
        ),
        pytest.param(
            """
            from shop import Base

            def run(connection):
                context.configure(connection=connection, target_metadata=Base.metadata)
            """,
            """
            from pgmodern import environment
            from shop import Base

            environment.run(Base.metadata)
            """,
            id="metadata that has no name",
        ),
    ],
)
def test_an_env_py_keeps_what_its_metadata_needs(before: str, after: str) -> None:
    new = rewritten(dedent(before).lstrip("\n"))
    assert new.source == dedent(after).lstrip("\n")
    assert new.obstacles == ()
    assert runs(new.source)
    assert not runs(dedent(before))


@pytest.mark.parametrize("source", ["target_metadata = None\n", "import os\n", "", '"""Doc."""\n'])
def test_without_metadata_it_says_what_to_put_there(source: str) -> None:
    new = rewritten(source)
    assert new.source.endswith(
        "from pgmodern import environment\n\n"
        "from app.models import Base\n\nenvironment.run(Base.metadata)\n"
    )
    assert runs(new.source)
    (obstacle,) = new.obstacles
    assert "set target_metadata" in obstacle


def test_what_run_takes_of_configure_is_kept_with_what_it_needs() -> None:
    new = rewritten(
        "from alembic import context\nfrom shop import Base\nfrom fnmatch import fnmatch\n"
        "target_metadata = Base.metadata\n\n"
        "def wanted(object_, name, *_):\n    return not fnmatch(name, 'old_*')\n\n"
        "def offline():\n    context.configure(url='x', include_object=wanted, compare_type=True)\n"
        "context.configure(target_metadata=target_metadata, include_object=wanted,\n"
        "    version_table_schema='shop')\n"
    )
    assert new.obstacles == ()
    assert "from fnmatch import fnmatch" in new.source
    assert "def wanted(" in new.source
    assert new.source.endswith(
        "environment.run(Base.metadata, include_object=wanted, version_table_schema='shop')\n"
    )


@pytest.mark.quick
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("transactional_ddl=False, **more", "**more, transactional_ddl"),
        ("include_object=local", "include_object"),
        ("version_table='a')\ncontext.configure(version_table='b'", "version_table"),
    ],
)
def test_what_run_does_not_take_is_an_obstacle(given: str, named: str) -> None:
    source = (
        "from shop import Base\ntarget_metadata = Base.metadata\n"
        f"context.configure(url='x', target_metadata=target_metadata, {given})\n"
    )
    (obstacle,) = rewritten(source).obstacles
    assert f"It gives {named} to" in obstacle


@pytest.mark.parametrize(
    ("source", "does"),
    [
        ("from pgmodern import environment", True),
        ("from pgmodern.environment import run", True),
        ("import pgmodern.environment", True),
        ("from pgmodern import Vector", False),
        ("from alembic import context", False),
    ],
)
def test_an_env_py_that_has_run_is_known(source: str, *, does: bool) -> None:
    assert runs(source) is does


def test_metadata_of_several_databases_is_known() -> None:
    assert is_of_several_databases("target_metadata = {}")
    assert is_of_several_databases("target_metadata = {'shop': metadata}")
    assert not is_of_several_databases("target_metadata = [metadata]")


def test_lines_end_as_they_did() -> None:
    new = rewritten("from shop import Base\r\ntarget_metadata = Base.metadata\r\n").source
    assert new.count("\r\n") == new.count("\n") > 2
    ast.parse(new)
