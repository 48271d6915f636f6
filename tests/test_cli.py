"""The command line as a pipeline sees it: output, exit codes, and no secrets."""

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import URL, Engine, MetaData, insert, text
from sqlalchemy.orm import Session

from pgmodern import cli, tuning
from pgmodern import engine as pgmodern_engine
from pgmodern.errors import ServerTooOld, SettingsError
from pgmodern.reference.audio import Sample, SampleEmbedding
from pgmodern.reference.music import AILog, Artist, Base
from tests import commands

PGMODERN = str(Path(sys.executable).with_name("pgmodern"))


def environment(url: URL | str | None) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DATABASE_", "POSTGRES_"))}
    if url is None:
        return kept
    rendered = url.render_as_string(hide_password=False) if isinstance(url, URL) else url
    return kept | {"DATABASE_URL": rendered}


def pgmodern(
    url: URL | str | None, *arguments: str, **kwargs: Any
) -> subprocess.CompletedProcess[str]:
    return commands.run([PGMODERN, *arguments], env=environment(url), **kwargs)


def test_check_of_a_migrated_database_exits_0(database_url: URL) -> None:
    result = pgmodern(database_url, "check")
    assert result.returncode == 0, result.stderr
    for index in ("ix_tracks_title_trgm", "ix_messages_search_vector", "ix_fragrances_popular"):
        assert index in result.stdout
    assert "bad" not in result.stdout


def test_check_prints_json_and_exits_1_with_the_cure(engine: Engine, database_url: URL) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP INDEX ix_tracks_title_trgm"))
    result = pgmodern(database_url, "check", "--json")
    assert result.returncode == 1
    (finding,) = (each for each in json.loads(result.stdout) if not each["ok"])
    assert finding == {
        "kind": "index",
        "name": "ix_tracks_title_trgm",
        "ok": False,
        "detail": "missing",
        "cure": "Run: alembic upgrade head",
    }


def test_check_looks_for_your_own_models(database_url: URL, tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from sqlalchemy import Column, Index, Integer, MetaData, Table\n"
        "metadata = MetaData()\n"
        "things = Table('things', metadata, Column('id', Integer, primary_key=True),\n"
        "               Column('size', Integer, index=True))\n"
    )
    result = pgmodern(database_url, "check", "--models", "app:metadata", cwd=tmp_path)
    assert result.returncode == 1, result.stderr
    assert "ix_things_size" in result.stdout


@pytest.mark.quick
def test_a_server_that_is_too_old_is_said_by_every_command(
    postgres_url: URL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", postgres_url.render_as_string(hide_password=False))
    monkeypatch.setattr(pgmodern_engine, "MINIMUM_SERVER", 99)
    with pytest.raises(ServerTooOld, match="99 or later"), cli._engine() as engine:
        engine.connect()


@pytest.mark.quick
@pytest.mark.parametrize("path", ["nowhere:metadata", "json:nothing", "json:loads", "json", ""])
def test_models_that_are_not_there_are_an_error(path: str) -> None:
    with pytest.raises(SettingsError, match="like an example"):
        cli.load_declared(path, MetaData, "an example")


@pytest.fixture
def copied_url(engine: Engine, database_url: URL) -> URL:
    """A migrated database with one fault."""
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE things (id int PRIMARY KEY)")
        connection.exec_driver_sql("CREATE INDEX copy ON things (id)")
    return database_url


def test_doctor_of_a_migrated_database_exits_0(database_url: URL) -> None:
    result = pgmodern(database_url, "doctor")
    assert (result.returncode, result.stdout) == (0, "Nothing found.\n")
    assert pgmodern(database_url, "doctor", "--json").stdout == "[]\n"


def test_doctor_prints_json_with_the_cure_and_exits_1(copied_url: URL) -> None:
    result = pgmodern(copied_url, "doctor", "--json")
    assert result.returncode == 1, result.stderr
    assert json.loads(result.stdout) == [
        {
            "kind": "key-copy",
            "severity": "warning",
            "schema": "public",
            "table": "things",
            "name": "copy",
            "detail": "a copy of things_pkey, the primary key's index",
            "cure": "op.drop_index_online('copy')",
        }
    ]


@pytest.mark.parametrize(
    ("options", "code", "shown"),
    [
        ([], 1, True),
        (["--fail-on", "warning"], 1, True),
        (["--fail-on", "error"], 0, True),
        (["--only", "key-copy", "--only", "invalid-index"], 1, True),
        (["--only", "invalid-index"], 0, False),
        (["--only", "nothing"], 2, False),
        (["--fail-on", "nothing"], 2, False),
        (["--days", "-1"], 2, False),
    ],
)
def test_doctor_s_exit_code_is_of_what_is_asked_for(
    copied_url: URL, options: list[str], code: int, shown: bool
) -> None:
    result = pgmodern(copied_url, "doctor", *options)
    assert result.returncode == code, result.stderr
    assert ("op.drop_index_online('copy')" in result.stdout) is shown


def test_a_note_of_doctor_s_is_shown_and_fails_only_who_asks(
    engine: Engine, database_url: URL
) -> None:
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO archives (user_id, name, playlist_data) "
            "VALUES (gen_random_uuid(), '', '{}')"
        )
        connection.exec_driver_sql("SELECT pg_stat_force_next_flush()")
    result = pgmodern(database_url, "doctor")
    assert result.returncode == 0, result.stderr
    assert "not known: the extension pgstattuple" in result.stdout
    assert pgmodern(database_url, "doctor", "--fail-on", "note").returncode == 1


@pytest.fixture
def large_url(engine: Engine, database_url: URL) -> URL:
    """A migrated database with a table that is large beside a megabyte."""
    with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in (
            "CREATE TABLE plays (at timestamptz PRIMARY KEY) WITH (autovacuum_enabled = off)",
            "INSERT INTO plays SELECT now() - (50000 - i) * interval '10 minutes' "
            "FROM generate_series(1, 50000) AS i",
            "ANALYZE plays",
            *["SELECT FROM plays WHERE at = now()"] * 3,
            "SELECT pg_stat_force_next_flush()",
        ):
            connection.exec_driver_sql(statement)
    return database_url


def test_partition_advice_prints_what_pays_first_and_exits_1(large_url: URL) -> None:
    result = pgmodern(large_url, "partition-advice", "--memory", "1 MB")
    assert result.returncode == 1, result.stderr
    assert result.stdout.startswith("yes ")
    assert "op.partition_table_online('plays', 'at', interval=" in result.stdout
    assert "archives" in result.stdout
    found = json.loads(pgmodern(large_url, "partition-advice", "--memory=1MB", "--json").stdout)
    assert (found[0]["table"], found[0]["verdict"]) == ("plays", "yes")
    assert {each["verdict"] for each in found[1:]} == {"no"}


def test_partition_advice_for_what_fits_into_memory_exits_0(large_url: URL) -> None:
    assert pgmodern(large_url, "partition-advice").returncode == 0
    result = pgmodern(large_url, "partition-advice", "archives", "--json")
    assert result.returncode == 0, result.stderr
    (found,) = json.loads(result.stdout)
    assert (found["verdict"], found["column"], found["upgrade"]) == ("no", "created_at", None)
    assert "archives_pkey does not contain the column" in found["obstacles"][0]["cause"]


def test_partition_advice_writes_the_revision_and_exits_0(
    large_url: URL, alembic_ini: Path, tmp_path: Path
) -> None:
    shutil.copytree(alembic_ini.parent / "alembic", tmp_path / "alembic")
    shutil.copy(alembic_ini, tmp_path)
    command = ["partition-advice", "plays", "--memory=1MB", "--write", "--rev-id=9999"]
    result = pgmodern(large_url, *command, "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    path = Path(result.stderr.removeprefix("written: ").strip())
    assert path == tmp_path / "alembic" / "versions" / "9999_partition_plays_by_at.py"
    assert json.loads(result.stdout)[0]["upgrade"] in path.read_text()
    assert pgmodern(large_url, "partition-advice", "archives", "--write").returncode == 1


@pytest.mark.quick
@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["--write"], 2), (["--memory", "much"], 2), (["--memory", "0"], 2), (["nothing"], 1)],
)
def test_partition_advice_of_nothing_is_an_error(
    migrated_database_url: URL, arguments: list[str], code: int
) -> None:
    result = pgmodern(migrated_database_url, "partition-advice", *arguments)
    assert result.returncode == code
    assert "Traceback" not in result.stderr


def test_models_may_be_an_attribute_of_a_class() -> None:
    assert cli.load_declared(cli.REFERENCE[0], MetaData, "") is Base.metadata


def test_an_index_is_tuned_and_what_was_found_is_stored_with_it(
    database_url: URL, engine: Engine
) -> None:
    vectors = np.random.default_rng(1).normal(size=(60, 1536)).astype(np.float32)
    samples = [{"id": n, "title": "t"} for n in range(60)]
    embeddings = [{"sample_id": n, "vibe_vector": vector} for n, vector in enumerate(vectors)]
    with engine.begin() as connection:
        connection.execute(insert(Sample), samples)
        connection.execute(insert(SampleEmbedding), embeddings)
    index = "pgmodern.reference.audio:SampleEmbedding.vibe_hnsw"
    result = pgmodern(database_url, "tune", index, "--queries", "7", "-k", "5", "--json")
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert (found["ef_search"], found["k"], found["recall"]) == (20, 5, 1)
    assert "exact scans: 7" in result.stderr
    with Session(engine) as session:
        stored = tuning.load(session, SampleEmbedding.vibe_hnsw)
    assert asdict(stored["ix_sample_embeddings_vibe_vector"]) == found
    result = pgmodern(database_url, "tune", index, "--queries", "7")
    assert result.stdout.startswith(
        "ix_sample_embeddings_vibe_vector: ef_search=20, recall@10 1.000"
    )


def test_an_index_that_cannot_be_tuned_says_why(migrated_database_url: URL) -> None:
    index = "pgmodern.reference.audio:SampleEmbedding.vibe_hnsw"
    for asked, problem in ((index, "holds no vector"), (index[:-5], "like pgmodern.reference")):
        result = pgmodern(migrated_database_url, "tune", asked)
        assert result.returncode == 1
        assert problem in result.stderr
        assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["check"],
        ["doctor"],
        ["partition-advice"],
        ["demo"],
        ["embed", "ai-logs"],
        ["embed", "samples"],
    ],
)
def test_a_database_that_is_away_is_one_message_and_exit_code_1(command: list[str]) -> None:
    result = pgmodern("postgresql://someone:s3cret@127.0.0.1:1/nothing", *command)
    assert result.returncode == 1
    assert result.stderr.startswith("error: No connection to postgresql+psycopg://someone:***@")
    assert "Check DATABASE_URL" in result.stderr
    assert "Traceback" not in result.stderr
    assert "s3cret" not in result.stdout + result.stderr


def test_an_empty_database_is_told_to_migrate(empty_database_url: URL) -> None:
    for command in (["demo"], ["embed", "ai-logs"], ["embed", "samples"]):
        result = pgmodern(empty_database_url, *command)
        assert result.returncode == 1
        assert "alembic upgrade head" in result.stderr
        assert "Traceback" not in result.stderr


def test_embed_says_how_many_and_twice_finds_none(engine: Engine, database_url: URL) -> None:
    with Session(engine) as session, session.begin():
        session.add_all([AILog(prompt="one"), AILog(prompt="two")])
    first = pgmodern(database_url, "embed", "ai-logs")
    assert first.returncode == 0, first.stderr
    assert first.stdout == "2 AI logs embedded with wordllama-l2-supercat-256\n"
    assert pgmodern(database_url, "embed", "ai-logs", "--all").stdout.startswith("0 AI logs")


def test_embed_says_how_many_samples_and_twice_finds_none(
    engine: Engine, database_url: URL
) -> None:
    with Session(engine) as session, session.begin():
        session.add_all([Sample(title="dark loop"), Sample(title="bright loop")])
    first = pgmodern(database_url, "embed", "samples", "--all")
    assert first.returncode == 0, first.stderr
    assert first.stdout == "2 samples embedded with wordllama-l2-supercat-256\n"
    assert "embedding samples: 2 in" in first.stderr
    assert pgmodern(database_url, "embed", "samples", "--all").stdout.startswith("0 samples")


def test_demo_answers_and_exits_0(database_url: URL) -> None:
    result = pgmodern(database_url, "demo")
    assert result.returncode == 0, result.stderr
    assert "Bohemian Rhapsody, Queen" in result.stdout


def test_demo_without_the_local_model_says_what_it_leaves_out(
    database_url: URL,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, "wordllama", None)
    monkeypatch.setenv("DATABASE_URL", database_url.render_as_string(hide_password=False))
    cli.demo()
    assert "Bohemian Rhapsody, Queen" in capsys.readouterr().out
    assert "There is no search by meaning: The local model is not installed." in caplog.text
    assert "pip install 'pgmodern[local]'" in caplog.text


def test_init_lays_down_a_project_and_says_what_is_next(tmp_path: Path) -> None:
    done = pgmodern(None, "init", "my shop", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "written: my shop/migrations/env.py\n" in done.stdout
    assert "    cd 'my shop'\n" in done.stdout
    assert "    alembic upgrade head\n    pytest\n" in done.stdout
    assert "Generating" not in done.stdout
    again = pgmodern(None, "init", cwd=tmp_path / "my shop")
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr == "migrations/env.py calls pgmodern's run() already.\n"


def test_init_says_what_it_left_out(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine")
    done = pgmodern(None, "init", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "left out, as there is something already: .gitignore\n" in done.stdout
    assert (tmp_path / ".gitignore").read_text() == "mine"


def test_init_where_something_is_in_the_way_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "models.py").touch()
    refused = pgmodern(None, "init", cwd=tmp_path)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith(
        "error: Nothing was written, as this is there already: models.py\n"
    )
    assert pgmodern(None, "init", "--write", cwd=tmp_path).returncode == 2
    assert [each.name for each in tmp_path.iterdir()] == ["models.py"]


def test_init_of_an_alembic_project_prints_a_diff_and_applies_it_when_asked(tmp_path: Path) -> None:
    (tmp_path / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/scripts\n")
    env = tmp_path / "scripts" / "env.py"
    env.parent.mkdir()
    env.write_text("from shop import Base\n\ntarget_metadata = Base.metadata\n")
    printed = pgmodern(None, "init", str(tmp_path))
    assert printed.returncode == 1
    assert printed.stdout.startswith("--- scripts/env.py\t\n+++ scripts/env.py\t\n@@ ")
    assert f"pgmodern init {tmp_path} | patch -p0 --directory={tmp_path}\n" in printed.stderr
    assert "target_metadata" in env.read_text()
    applied = pgmodern(None, "init", "--write", cwd=tmp_path)
    assert (applied.returncode, applied.stdout) == (0, printed.stdout)
    assert "written: scripts/env.py; the old one is scripts/env.py.orig\n" in applied.stderr
    assert "environment.run(Base.metadata)" in env.read_text()


def test_help_names_every_command_and_gives_examples() -> None:
    top = pgmodern(None, "--help").stdout
    for command in ("init", "check", "doctor", "demo", "embed", "serve"):
        assert command in top
        assert pgmodern(None, command, "--help").returncode == 0
    assert "Example:" in pgmodern(None, "check", "--help").stdout
    assert "pgmodern doctor --json --fail-on error" in pgmodern(None, "doctor", "--help").stdout


def test_an_unknown_command_is_a_usage_error() -> None:
    assert pgmodern(None, "destroy").returncode == 2


@pytest.fixture
def server(database_url: URL) -> Iterator[str]:
    """`pgmodern serve` on a free port; its base URL."""
    process = subprocess.Popen(
        [PGMODERN, "serve", "--port", "0"],
        env=environment(database_url) | {"PYTHONUNBUFFERED": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "running on" in line)
        yield line.split("running on ")[1].split()[0]
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_serve_answers_over_http(engine: Engine, server: str) -> None:
    with Session(engine) as session, session.begin():
        session.add(Artist(name="The Beatles"))
    with urllib.request.urlopen(f"{server}/api/v1/artists/fuzzy?q=beetles", timeout=10) as answer:
        (result,) = json.load(answer)["results"]
    assert result["name"] == "The Beatles"


def test_serve_searches_samples_with_the_model(
    engine: Engine, database_url: URL, server: str
) -> None:
    with Session(engine) as session, session.begin():
        session.add_all([Sample(title="dark moody loop"), Sample(title="bright piano")])
    assert pgmodern(database_url, "embed", "samples").returncode == 0
    request = urllib.request.Request(
        f"{server}/api/v1/vibe-search/search",
        json.dumps({"query": "dark moody loop"}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        (result,) = json.load(answer)["results"]
    assert result["title"] == "dark moody loop"
    assert result["similarity"] > 0.99


@pytest.mark.quick
def test_a_version_of_embeddings_is_retired_unless_it_is_the_current_one(
    engine: Engine, database_url: URL
) -> None:
    refused = pgmodern(database_url, "retire-embeddings", "1")
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: Version 1 of the embeddings is the current one")
    with engine.begin() as connection:
        version = "INSERT INTO fragrance_embedding_versions (version, model_name) VALUES (2, 'm')"
        connection.execute(text(version))
    done = pgmodern(database_url, "retire-embeddings", "2")
    assert (done.returncode, done.stdout) == (0, "version 2 removed\n")
    with engine.connect() as connection:
        left = text("SELECT array_agg(version) FROM fragrance_embedding_versions")
        assert connection.scalar(left) == [1]
