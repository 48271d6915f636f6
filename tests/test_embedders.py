"""Embedders: the local model, the HTTP client against a real server, scaling and padding."""

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pgmodern import embedders
from pgmodern.embedders import AsyncEmbedder, HttpEmbedder, LocalEmbedder, padded, unit
from pgmodern.errors import EmbedderError, SettingsError
from pgmodern.settings import Settings

Reply = Callable[[dict[str, Any]], tuple[int, bytes]]


@pytest.fixture(scope="module")
def local() -> LocalEmbedder:
    """The local model, loaded once."""
    return LocalEmbedder()


def test_the_local_model_finds_what_is_meant(local: LocalEmbedder) -> None:
    texts = ["a sad song about lost love", "heartbreak ballad", "tax return form"]
    query, near, far = local.embed(texts)
    assert query @ near > query @ far
    assert query.shape == (256,)


async def test_the_asynchronous_one_gives_the_same_in_another_thread(local: LocalEmbedder) -> None:
    threads = []

    class Noting:
        model_name = local.model_name

        def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
            threads.append(threading.current_thread())
            return local.embed(texts)

    model = AsyncEmbedder(Noting())
    assert np.array_equal(await model.embed(["a"]), local.embed(["a"]))
    assert model.model_name == local.model_name
    assert threading.main_thread() not in threads


def test_an_empty_text_gives_a_vector_of_zeros_and_no_warning(local: LocalEmbedder) -> None:
    (vector,) = local.embed([""])
    assert not vector.any()


@given(arrays(np.float32, (3, 5), elements=st.floats(-1e3, 1e3, width=32)))
def test_unit_vectors_have_length_one_or_zero(vectors: Any) -> None:
    lengths = np.linalg.norm(unit(vectors), axis=1)
    tiny = np.linalg.norm(vectors, axis=1) < 1e-15
    assert np.all(np.isclose(lengths, 1, atol=1e-4) | tiny)


@given(arrays(np.float32, (2, 4), elements=st.floats(-1, 1, width=32)), st.integers(4, 30))
def test_padding_keeps_every_product(vectors: Any, dimensions: int) -> None:
    wide = padded(vectors, dimensions)
    assert wide.shape == (2, dimensions)
    assert np.allclose(wide @ wide.T, vectors @ vectors.T)


@pytest.mark.quick
def test_a_vector_longer_than_the_column_is_refused() -> None:
    with pytest.raises(EmbedderError, match="gives 3 dimensions, the column takes 2"):
        padded(np.ones((1, 3), dtype=np.float32), 2)


class Endpoint:
    """A real HTTP server whose replies a test decides."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.replies: list[Reply] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.requests.append((dict(self.headers), body))
                status, answer = endpoint.replies.pop(0)(body)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1/"


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """An endpoint on this machine; the client does not pause between its tries."""
    monkeypatch.setattr(embedders, "_PAUSES", (0.0, 0.0))
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever)
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    endpoint.server.server_close()
    thread.join()


def as_openai(body: dict[str, Any]) -> tuple[int, bytes]:
    data = [
        {"index": i, "embedding": [3.0 * (i + 1), 4.0 * (i + 1)]} for i in range(len(body["input"]))
    ]
    return 200, json.dumps({"data": data[::-1]}).encode()


def busy(_: dict[str, Any]) -> tuple[int, bytes]:
    return 429, b"slow down"


def test_http_vectors_come_in_the_order_of_the_texts_at_length_one(endpoint: Endpoint) -> None:
    endpoint.replies = [as_openai]
    vectors = HttpEmbedder(endpoint.url, "a-model", "s3cret").embed(["one", "two"])
    assert np.allclose(vectors, [[0.6, 0.8], [0.6, 0.8]])
    headers, body = endpoint.requests[0]
    assert body == {"model": "a-model", "input": ["one", "two"]}
    assert headers["Authorization"] == "Bearer s3cret"


@pytest.mark.quick
def test_a_busy_endpoint_is_asked_again(endpoint: Endpoint) -> None:
    endpoint.replies = [busy, busy, as_openai]
    assert HttpEmbedder(endpoint.url, "a-model").embed(["one"]).shape == (1, 2)


def test_an_endpoint_that_stays_busy_is_an_error_with_its_cure(endpoint: Endpoint) -> None:
    endpoint.replies = [busy, busy, busy]
    with pytest.raises(EmbedderError, match=r"answered 429[\s\S]*PGMODERN_EMBEDDING_KEY"):
        HttpEmbedder(endpoint.url, "a-model").embed(["one"])


@pytest.mark.quick
def test_a_refusal_is_not_tried_again_and_names_no_key(endpoint: Endpoint) -> None:
    endpoint.replies = [lambda _: (401, b"no")]
    with pytest.raises(EmbedderError, match="answered 401") as caught:
        HttpEmbedder(endpoint.url, "a-model", "s3cret").embed(["one"])
    assert "s3cret" not in str(caught.value)
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (b"<html>", "did not answer as the OpenAI API does"),
        (b"{}", "did not answer as the OpenAI API does"),
        (b'{"data": []}', "gave 0 vectors for 1 texts"),
        (b'{"data": [{"index": 0, "embedding": ["x"]}]}', "did not answer as the OpenAI API does"),
    ],
)
def test_another_kind_of_answer_is_an_error(endpoint: Endpoint, answer: bytes, cause: str) -> None:
    endpoint.replies = [lambda _: (200, answer)]
    with pytest.raises(EmbedderError, match=cause):
        HttpEmbedder(endpoint.url, "a-model").embed(["one"])


@pytest.mark.quick
def test_an_endpoint_that_is_away_is_an_error(endpoint: Endpoint) -> None:
    endpoint.server.shutdown()
    endpoint.server.server_close()
    with pytest.raises(EmbedderError, match="did not answer"):
        HttpEmbedder(endpoint.url, "a-model").embed(["one"])


@pytest.mark.quick
@pytest.mark.local
def test_settings_choose_the_embedder() -> None:
    assert isinstance(embedders.from_settings(Settings(None, Path())), LocalEmbedder)
    named = Settings(None, Path(), "https://example.org/v1", "a-model", "s3cret")
    assert isinstance(embedders.from_settings(named), HttpEmbedder)
    with pytest.raises(SettingsError, match="names no model"):
        embedders.from_settings(Settings(None, Path(), "https://example.org/v1"))
    with pytest.raises(SettingsError, match="no web address"):
        HttpEmbedder("file:///etc/passwd", "a-model")
