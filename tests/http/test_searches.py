"""What is searched for over HTTP is found, and what is asked wrongly is refused."""

import re
from dataclasses import fields
from importlib.metadata import version
from itertools import product
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pgmodern.http import ArtistRow, TrackRow
from pgmodern.reference.music import ArtistHit, TrackHit
from tests.http.requests import SEARCHES, client_of, found, nowhere, until


async def test_a_misspelt_title_is_found(client: httpx.AsyncClient) -> None:
    first, *_ = await found(client, "tracks/fuzzy", "yelow submarin")
    assert first.pop("score") > 0.5
    assert isinstance(first.pop("id"), int)
    assert first == {
        "title": "Yellow Submarine",
        "artist": "The Beatles",
        "album": "Revolver",
        "highlight": None,
    }


async def test_a_misspelt_artist_is_found(client: httpx.AsyncClient) -> None:
    first, *_ = await found(client, "artists/fuzzy", "the beetles")
    assert set(first) == {"id", "name", "score", "highlight"}
    assert first["name"] == "The Beatles"


async def test_a_phrase_is_found_and_highlighted(client: httpx.AsyncClient) -> None:
    (row,) = await found(client, "tracks/full-text", '"yellow submarine" -rain')
    assert row["highlight"] == "<b>Yellow</b> <b>Submarine</b> / Revolver"
    assert await found(client, "tracks/full-text", '"submarine yellow"') == []


async def test_words_of_an_artist_are_found_without_their_accents(
    client: httpx.AsyncClient,
) -> None:
    (row,) = await found(client, "artists/full-text", "beyonce")
    assert row["highlight"] == "<b>Beyoncé</b>"


@pytest.mark.parametrize(
    ("kind", "q", "name"),
    [("tracks", "yellow", "Yellow Submarine"), ("artists", "beatles", "The Beatles")],
)
async def test_the_combined_search_finds_what_one_word_is_enough_for(
    client: httpx.AsyncClient, kind: str, q: str, name: str
) -> None:
    first, *_ = await found(client, f"{kind}/search", q)
    assert name in first.values()
    assert first["highlight"] is None


@pytest.mark.parametrize(
    ("kind", "q", "name"), [("tracks", "elea", "Eleanor Rigby"), ("artists", "BEY", "Beyoncé")]
)
async def test_a_beginning_is_completed(
    client: httpx.AsyncClient, kind: str, q: str, name: str
) -> None:
    (row,) = await found(client, f"{kind}/suggest", q)
    assert name in row.values()


@pytest.mark.parametrize("search", ["fuzzy", "full-text", "search", "suggest"])
async def test_other_alphabets_are_searched_alike(client: httpx.AsyncClient, search: str) -> None:
    (row, *_) = await found(client, f"tracks/{search}", "выхода")
    assert row["artist"] == "Сплин"


INJECTIONS = (
    "'; DROP TABLE tracks; --",
    "x' OR '1'='1",
    '"unclosed (phrase & | ! <-> :* \\',
    "%a_",
    "-not -anything or or",
    "{a}:b%(c)s$1",
    "\U0001f600 a \u202e \u200b\ufeff",
    "a" * 512,
)


async def test_operators_and_injections_are_only_text(client: httpx.AsyncClient) -> None:
    for path, q in product(SEARCHES, INJECTIONS):
        response = await client.get(path, params={"q": q})
        assert (response.status_code, response.json()["query"]) == (200, q)
    assert await found(client, "tracks/suggest", "Halo")


async def test_wildcards_match_themselves_alone(client: httpx.AsyncClient) -> None:
    (row,) = await found(client, "artists/suggest", "100%_")
    assert row["name"] == "100%_proof"
    assert await found(client, "artists/suggest", "1%_") == []


@pytest.mark.parametrize(
    ("parameters", "name", "kind"),
    [
        ({}, "q", "missing"),
        ({"q": ""}, "q", "string_too_short"),
        ({"q": " \t\u3000"}, "q", "string_too_short"),
        ({"q": "a" * 513}, "q", "string_too_long"),
        ({"q": "?! __ %"}, "q", "value_error"),
        ({"q": "a\x00b"}, "q", "value_error"),
        ({"q": "\x00"}, "q", "value_error"),
        ({"q": "a", "limit": 0}, "limit", "greater_than_equal"),
        ({"q": "a", "limit": -1}, "limit", "greater_than_equal"),
        ({"q": "a", "limit": 101}, "limit", "less_than_equal"),
        ({"q": "a", "limit": "9" * 5000}, "limit", "int_parsing_size"),
        ({"q": "a", "limit": "ten"}, "limit", "int_parsing"),
    ],
)
async def test_bad_input_is_refused_before_the_database_is_asked(
    parameters: dict[str, Any], name: str, kind: str
) -> None:
    async with client_of(nowhere()) as client:
        for path in SEARCHES:
            response = await client.get(path, params=parameters)
            assert response.status_code == 422
            (error,) = response.json()["detail"]
            assert (error["loc"], error["type"]) == (["query", name], kind)


async def test_what_surrounds_a_text_does_not_count(client: httpx.AsyncClient) -> None:
    assert await found(client, "tracks/suggest", f"{' ' * 600}halo\n")


async def test_no_more_than_the_limit_is_returned(client: httpx.AsyncClient) -> None:
    assert len(await found(client, "tracks/full-text", "revolver")) == 3
    assert len(await found(client, "tracks/full-text", "revolver", limit=2)) == 2


async def test_a_highlight_is_escaped_for_html(client: httpx.AsyncClient) -> None:
    rows = await found(client, "tracks/full-text", "love")
    highlights = {row["title"]: row["highlight"] for row in rows}
    assert highlights["a < b & 'all' love"] == "a &lt; b &amp; &#x27;all&#x27; <b>love</b>"
    assert highlights["<<b>bold</b> love"] == "&lt;&lt;b&gt;bold&lt;/b&gt; <b>love</b>"
    (row,) = await found(client, "artists/full-text", "image")
    assert row["highlight"] == "&lt;img src=x onerror=alert(1) <b>image</b>"


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(title=st.text(alphabet="<>/b &;l\"'tg-!love", max_size=60))
async def test_the_highlight_of_any_title_is_balanced_and_holds_no_other_tag(
    admin: AsyncConnection, client: httpx.AsyncClient, title: str
) -> None:
    await admin.execute(text("UPDATE tracks SET title = :title, album = 'love'"), {"title": title})
    rows = await found(client, "tracks/full-text", "love")
    assert rows
    for row in rows:
        without = re.sub(r"<b>[^<>]*</b>", "", row["highlight"])
        assert not re.search(r"[<>\"']", without)


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    path=st.sampled_from(SEARCHES),
    q=st.one_of(
        st.text(max_size=40).map(quote),
        st.text(alphabet="aB9é'\"\\-|&!():*<>%_ $@\x00\t", max_size=40).map(quote),
        st.binary(max_size=40).map(quote),
        st.text(min_size=500, max_size=520).map(quote),
    ),
)
async def test_whatever_is_asked_is_answered_or_refused(
    client: httpx.AsyncClient, path: str, q: str
) -> None:
    response = await client.get(f"{path}?q={q}")
    assert response.status_code in {200, 422}


async def test_healthz_says_ok(client: httpx.AsyncClient) -> None:
    response = await client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_a_request_is_one_statement_without_begin_and_rollback(
    client: httpx.AsyncClient, admin: AsyncConnection
) -> None:
    await found(client, "tracks/fuzzy", "halo")
    await until(admin, "state = 'idle' AND query LIKE '%tracks%' AND query NOT LIKE 'LOCK%'", 1)


@pytest.mark.quick
@pytest.mark.parametrize(("row", "hit"), [(TrackRow, TrackHit), (ArtistRow, ArtistHit)])
def test_a_row_is_documented_field_by_field(row: type[BaseModel], hit: type[Any]) -> None:
    assert list(row.model_fields) == [field.name for field in fields(hit)]


async def test_the_openapi_document_lists_every_path_with_its_errors(
    client: httpx.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["info"]["version"] == version("pgmodern")
    assert set(document["paths"]) > {*SEARCHES, "/healthz"}
    operations = {path: document["paths"][path]["get"] for path in (*SEARCHES, "/healthz")}
    assert len({operation["operationId"] for operation in operations.values()}) == 9
    for path, operation in operations.items():
        assert operation["summary"]
        assert operation["description"]
        assert "Retry-After" in operation["responses"]["503"]["headers"]
        expected = {"200", "500", "503"} | ({"422"} if path in SEARCHES else set())
        assert set(operation["responses"]) == expected
    q, limit = operations[SEARCHES[0]]["parameters"]
    assert (q["schema"]["minLength"], q["schema"]["maxLength"], q["required"]) == (1, 512, True)
    bounds = [limit["schema"][key] for key in ("minimum", "maximum", "default")]
    assert bounds == [1, 100, 10]
