"""Where the database is, and what is never told of it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import URL, make_url

from pgmodern.errors import SettingsError
from pgmodern.settings import (
    Settings,
    for_tests,
    is_through_pgbouncer,
    parse_url,
    read,
    without_pgbouncer,
)

NOWHERE = Path("/nonexistent")
PARTS = {
    "POSTGRES_HOST": "parts",
    "POSTGRES_PORT": "6543",
    "POSTGRES_USER": "ann",
    "POSTGRES_PASSWORD": "p@ss/w:rd?#%",
    "POSTGRES_DB": "shop",
}
PARTS_URL = "postgresql+psycopg://ann:p%40ss%2Fw%3Ard%3F%23%25@parts:6543/shop"

Reader = Callable[[Mapping[str, str], str], Settings]


@pytest.fixture
def settings_of(tmp_path: Path) -> Reader:
    """Read an environment and the text of a `.env`."""

    def reader(environ: Mapping[str, str], dotenv: str) -> Settings:
        (tmp_path / ".env").write_text(dotenv)
        return read(environ, tmp_path)

    return reader


def _lines(variables: Mapping[str, str]) -> str:
    return "".join(f"{name}='{value}'\n" for name, value in variables.items())


def _shown(url: URL | None) -> str | None:
    return None if url is None else url.render_as_string(hide_password=False)


A = {"DATABASE_URL": "postgresql://a/a"}
B = {"DATABASE_URL": "postgresql://b/b"}
A_URL, B_URL = "postgresql+psycopg://a/a", "postgresql+psycopg://b/b"


@pytest.mark.parametrize(
    ("environ", "dotenv", "expected"),
    [
        ({}, {}, None),
        (A, {}, A_URL),
        ({}, B, B_URL),
        (A, B, A_URL),
        (PARTS, {}, PARTS_URL),
        ({}, PARTS, PARTS_URL),
        (A | PARTS, {}, A_URL),
        ({}, B | PARTS, B_URL),
        (A, PARTS, A_URL),
        (PARTS, B, PARTS_URL),
        (A | PARTS, B | PARTS, A_URL),
        ({"DATABASE_URL": ""}, B, B_URL),
        ({"DATABASE_URL": ""} | PARTS, B, PARTS_URL),
        (dict.fromkeys(PARTS, ""), B, B_URL),
        (dict.fromkeys(PARTS, ""), {}, None),
    ],
)
def test_the_environment_goes_before_the_file_and_a_url_before_its_parts(
    environ: dict[str, str], dotenv: dict[str, str], expected: str | None, settings_of: Reader
) -> None:
    assert _shown(settings_of(environ, _lines(dotenv)).url) == expected


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"POSTGRES_HOST": "h"}, "postgresql+psycopg://postgres@h:5432/postgres"),
        ({"POSTGRES_PORT": "5433"}, "postgresql+psycopg://postgres@localhost:5433/postgres"),
        ({"POSTGRES_USER": "ann"}, "postgresql+psycopg://ann@localhost:5432/ann"),
        ({"POSTGRES_PASSWORD": "x"}, "postgresql+psycopg://postgres:x@localhost:5432/postgres"),
        ({"POSTGRES_DB": "shop"}, "postgresql+psycopg://postgres@localhost:5432/shop"),
    ],
)
def test_each_part_alone_names_a_database_with_the_usual_defaults(
    environ: dict[str, str], expected: str
) -> None:
    assert _shown(read(environ, NOWHERE).url) == expected


def test_without_a_file_and_without_variables_no_database_is_named() -> None:
    found = read({}, NOWHERE)
    assert found == Settings(url=None, home=NOWHERE / ".pgmodern")


def test_the_process_and_its_directory_are_read_when_nothing_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://process/db")
    monkeypatch.delenv("PGMODERN_HOME", raising=False)
    assert _shown(read().url) == "postgresql+psycopg://process/db"
    assert read().home == tmp_path / ".pgmodern"


def test_home_is_absolute_and_knows_the_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    assert read({"PGMODERN_HOME": "~/data"}, NOWHERE).home == Path("/home/ann/data")
    assert read({"PGMODERN_HOME": "data"}, NOWHERE).home == Path.cwd() / "data"
    assert read({"PGMODERN_HOME": ""}, NOWHERE).home == NOWHERE / ".pgmodern"


@pytest.mark.quick
def test_a_home_of_nobody_is_refused() -> None:
    with pytest.raises(SettingsError, match="PGMODERN_HOME"):
        read({"PGMODERN_HOME": "~nobody-of-that-name/x"}, NOWHERE)


def test_the_embedder_s_settings_come_from_either_place(settings_of: Reader) -> None:
    found = settings_of(
        {"PGMODERN_EMBEDDING_URL": "http://e/v1", "PGMODERN_EMBEDDING_MODEL": ""},
        "PGMODERN_EMBEDDING_URL=http://file\nPGMODERN_EMBEDDING_KEY=sk-key\n",
    )
    assert found.embedding_url == "http://e/v1"
    assert found.embedding_model is None
    assert found.embedding_key == "sk-key"
    assert "sk-key" not in repr(found)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_file_may_start_with_a_byte_order_mark(encoding: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://h/café\n", encoding)
    url = read({}, tmp_path).url
    assert url is not None
    assert url.database == "café"


@pytest.mark.quick
def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("# café\nDATABASE_URL=postgresql://h/db\n".encode("latin-1"))
    with pytest.raises(SettingsError, match=r"\.env"):
        read({}, tmp_path)


@pytest.mark.parametrize("password", ["$$", "a#b", "a b", "${", "$HOME", '"'])
def test_a_quoted_password_in_the_file_is_taken_as_it_is(
    password: str, settings_of: Reader
) -> None:
    url = settings_of({}, f"POSTGRES_PASSWORD='{password}'\n").url
    assert url is not None
    assert url.password == password


@pytest.mark.parametrize(
    "scheme",
    [
        "postgres",
        "postgresql",
        "postgresql+psycopg2",
        "postgresql+asyncpg",
        "postgresql+psycopg",
        "postgres+psycopg2",
    ],
)
def test_every_postgresql_url_is_for_psycopg_3(scheme: str) -> None:
    url = parse_url(f" {scheme}://ann:pw@h:1/db\n")
    assert _shown(url) == "postgresql+psycopg://ann:pw@h:1/db"


def test_the_parameters_of_a_url_are_kept() -> None:
    url = parse_url(
        "postgresql://h/db?sslmode=require&options=-c%20search_path%3Dapp&application_name=shop"
    )
    assert url.query == {
        "sslmode": "require",
        "options": "-c search_path=app",
        "application_name": "shop",
    }
    assert parse_url("postgresql:///db?host=/tmp&host=/var").query == {"host": ("/tmp", "/var")}


@pytest.mark.parametrize(
    ("scheme", "driver"),
    [
        ("postgres", "psycopg"),
        ("postgresql+psycopg2", "psycopg"),
        ("postgresql+asyncpg", "asyncpg"),
    ],
)
def test_the_driver_that_a_url_names_is_known(
    scheme: str, driver: str, settings_of: Reader
) -> None:
    for found in (
        settings_of({"DATABASE_URL": f"{scheme}://h/db?ssl=prefer"}, ""),
        settings_of({}, f"DATABASE_URL={scheme}://h/db?ssl=prefer"),
    ):
        assert found.driver == driver
        assert found.url is not None
        assert found.url.get_driver_name() == "psycopg"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (
            "ssl=verify-full&target_session_attrs=any",
            "sslmode=verify-full&target_session_attrs=any",
        ),
        ("ssl=require&direct_tls=true", "sslmode=require&sslnegotiation=direct"),
        ("command_timeout=5&prepared_statement_cache_size=0", ""),
        (
            "host=a:1&host=b:2&ssl=prefer&pgbouncer=true",
            "host=a:1&host=b:2&sslmode=prefer&pgbouncer=true",
        ),
    ],
)
def test_the_parameters_of_a_url_of_asyncpg_are_those_of_libpq(query: str, expected: str) -> None:
    url = f"postgresql+asyncpg://h/db?{query}"
    assert parse_url(url).query == make_url(f"postgresql://h/db?{expected}").query
    assert parse_url(url, ("psycopg", "asyncpg")).query == make_url(url).query


@pytest.mark.parametrize(
    "text",
    [
        "mysql://ann:geheim@h/db",
        "sqlite://",
        "garbage",
        "geheim",
        "",
        "://",
        "postgresql:/h",
        "postgresql://ann:geheim@h:port/db",
        "postgresql://ann:geheim@h:0/db",
        "postgresql://ann:geheim@h:65536/db",
        "postgresql://ann:x@geheim@h/db",
        "postgresql://ann:x@geheim/y@h/db",
    ],
)
def test_what_is_no_postgresql_url_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse_url(text)
    assert "geheim" not in str(raised.value)
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    assert "postgresql://user:password@host:5432/database" in raised.value.cure


@pytest.mark.parametrize("port", ["0", "65536", "-1", "+1", "5432 ", "x", "٣", "1e3", "9" * 5000])
def test_a_port_that_is_none_is_refused(port: str) -> None:
    with pytest.raises(SettingsError, match="POSTGRES_PORT"):
        read({"POSTGRES_PORT": port}, NOWHERE)


@pytest.mark.parametrize("port", ["1", "5432", "65535"])
def test_every_port_that_is_one_is_taken(port: str) -> None:
    url = read({"POSTGRES_PORT": port}, NOWHERE).url
    assert url is not None
    assert url.port == int(port)


_characters = st.text(
    st.characters(min_codepoint=33, exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), max_size=20
)
# Whatever stands around it, the middle is found nowhere else.
secrets = st.builds("{}geheim{}".format, _characters, _characters)


def _percent_encoded(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _hides(found: Settings) -> None:
    for shown in (repr(found), str(found), repr(found.url)):
        assert "geheim" not in shown
        assert _percent_encoded("geheim") not in shown


@given(secrets)
def test_a_password_in_parts_arrives_whole_and_is_never_shown(secret: str) -> None:
    found = read({"POSTGRES_PASSWORD": secret}, NOWHERE)
    assert found.url is not None
    assert found.url.password == secret
    _hides(found)


@given(
    secrets,
    st.sampled_from(["postgresql://ann:{}@h/db", "postgresql://h/db?user=ann&password={}"]),
)
def test_a_password_in_a_url_arrives_whole_and_is_never_shown(secret: str, template: str) -> None:
    found = read({"DATABASE_URL": template.format(_percent_encoded(secret))}, NOWHERE)
    assert found.url is not None
    assert found.url.password == secret
    _hides(found)


@given(
    secrets,
    st.sampled_from(["postgresql://ann:{}@h/db", "{}", "mysql://ann:{}@h", "//{}"]),
)
def test_no_message_shows_a_password_that_was_not_encoded(secret: str, template: str) -> None:
    try:
        shown = repr(parse_url(template.format(secret)))
    except SettingsError as error:
        shown = str(error)
    assert "geheim" not in shown


@pytest.mark.parametrize(("query", "expected"), [("", False), ("&pgbouncer=true", True)])
def test_a_url_may_say_that_it_leads_to_pgbouncer(query: str, expected: bool) -> None:
    url = parse_url(f"postgresql://h/db?application_name=shop{query}")
    assert is_through_pgbouncer(url) is expected
    assert without_pgbouncer(url).query == {"application_name": "shop"}


@pytest.mark.parametrize("said", ["1", "yes", "True", "true&pgbouncer=false"])
def test_it_says_so_by_true_or_false_alone(said: str) -> None:
    with pytest.raises(SettingsError, match="neither true nor false"):
        is_through_pgbouncer(parse_url(f"postgresql://h/db?pgbouncer={said}"))


HERE, ELSEWHERE = "as it leads to this machine", "DATABASE_URL leads to another machine"


@pytest.mark.quick
@pytest.mark.parametrize(
    ("environ", "is_taken", "why"),
    [
        ({}, False, ""),
        ({"DATABASE_URL": ""}, False, ""),
        ({"CI": "true"}, False, ""),
        (A | {"CI": "true"}, True, "as CI is set"),
        (A | {"CI": "1"}, True, "as CI is set"),
        (A | {"CI": ""}, False, ELSEWHERE),
        (A | {"CI": "false"}, False, ELSEWHERE),
        (A | {"CI": "0"}, False, ELSEWHERE),
        (A, False, ELSEWHERE),
        ({"DATABASE_URL": "postgres://ann:geheim@localhost/app"}, True, HERE),
        ({"DATABASE_URL": "postgresql+asyncpg://127.0.0.2:5433/app"}, True, HERE),
        ({"DATABASE_URL": "postgresql://[::1]/app"}, True, HERE),
        ({"DATABASE_URL": "postgresql:///app"}, True, HERE),
        ({"DATABASE_URL": "postgresql:///app?host=/run/postgresql"}, True, HERE),
        ({"DATABASE_URL": "postgresql:///app", "PGHOST": "db.shop.example"}, False, ELSEWHERE),
        ({"DATABASE_URL": "postgresql:///app?host=db.shop.example"}, False, ELSEWHERE),
        ({"DATABASE_URL": "postgresql:///app?host=localhost,10.0.0.1"}, False, ELSEWHERE),
        ({"DATABASE_URL": "postgresql:///app?host=localhost&host=db"}, False, ELSEWHERE),
        ({"DATABASE_URL": "postgresql://localhost/?hostaddr=10.0.0.1"}, False, ELSEWHERE),
        ({"DATABASE_URL": "postgresql:///?service=shop"}, False, ELSEWHERE),
        ({"DATABASE_URL": "postgresql://127.0.0.1.shop.example/"}, False, ELSEWHERE),
        ({"DATABASE_URL": "mysql://localhost/app"}, False, "DATABASE_URL is not PostgreSQL's"),
        ({"DATABASE_URL": "sqlite://", "CI": "true"}, False, "DATABASE_URL is not PostgreSQL's"),
        (PARTS | {"CI": "true"}, False, ""),
    ],
)
def test_tests_take_a_url_of_ci_or_of_this_machine(
    environ: Mapping[str, str], is_taken: bool, why: str
) -> None:
    url, reason = for_tests(environ)
    assert url == (parse_url(environ["DATABASE_URL"]) if is_taken else None)
    assert why in reason
    assert bool(why) == bool(reason)
    assert "geheim" not in reason


def test_tests_read_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setenv("CI", "true")
    (tmp_path / ".env").write_text("DATABASE_URL=postgresql://localhost/app\n")
    assert for_tests() == (None, "")
