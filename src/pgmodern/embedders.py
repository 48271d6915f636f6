"""Embedding models: one that runs here, and any behind an OpenAI-compatible endpoint."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from pgmodern.errors import EmbedderError, SettingsError
from pgmodern.settings import Settings

_TIMEOUT_SECONDS = 60
_PAUSES = (1.0, 4.0)
_WORTH_ANOTHER_TRY = {408, 429, 500, 502, 503, 504}


class Embedder(Protocol):
    """Turns texts into unit vectors; `model_name` says which vectors can be compared."""

    model_name: str

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per text, shape (texts, dimensions); may raise EmbedderError."""


class LocalEmbedder:
    """WordLlama's 256-dimension Matryoshka model, which its package carries; needs no network."""

    def __init__(self) -> None:
        try:
            import wordllama  # noqa: PLC0415  (an optional dependency)
        except ImportError:
            raise EmbedderError(
                "The local model is not installed.",
                "pip install 'pgmodern[local]', or name an endpoint in PGMODERN_EMBEDDING_URL.",
            ) from None
        folder = Path(wordllama.__file__).parent
        self._model: Any = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
        self.model_name = "wordllama-l2-supercat-256"

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector of 256 dimensions per text."""
        return unit(self._model.embed(list(texts)))


class _Busy(Exception):
    """The endpoint may answer when it is asked again."""


class HttpEmbedder:
    """A model behind an OpenAI-compatible `POST {url}/embeddings`."""

    def __init__(self, url: str, model: str, key: str | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise SettingsError(
                "PGMODERN_EMBEDDING_URL is no web address.", "Write it like https://host/v1."
            )
        self.url = url.rstrip("/") + "/embeddings"
        self.model_name = model
        self._key = key

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per text; tries again when the endpoint is busy."""
        for pause in _PAUSES:
            try:
                return self._request(texts)
            except _Busy:
                time.sleep(pause)
        try:
            return self._request(texts)
        except _Busy as error:
            raise self._failure(str(error)) from error

    def _request(self, texts: Sequence[str]) -> NDArray[np.float32]:
        body = json.dumps({"model": self.model_name, "input": list(texts)}).encode()
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        request = urllib.request.Request(self.url, body, headers)  # noqa: S310  (checked above)
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
                answer = response.read()
        except urllib.error.HTTPError as error:
            error.close()
            if error.code in _WORTH_ANOTHER_TRY:
                raise _Busy(f"answered {error.code}") from error
            raise self._failure(f"answered {error.code}") from error
        except (OSError, HTTPException) as error:
            raise _Busy(f"did not answer: {error}") from error
        return self._vectors(answer, len(texts))

    def _vectors(self, answer: bytes, expected: int) -> NDArray[np.float32]:
        try:
            data = sorted(json.loads(answer)["data"], key=lambda each: int(each["index"]))
            vectors = np.array([each["embedding"] for each in data], dtype=np.float32)
        except (ValueError, KeyError, TypeError) as error:
            raise self._failure("did not answer as the OpenAI API does") from error
        if vectors.ndim != 2 or len(vectors) != expected:
            raise self._failure(f"gave {len(vectors)} vectors for {expected} texts")
        return unit(vectors)

    def _failure(self, what: str) -> EmbedderError:
        return EmbedderError(
            f"The embedding endpoint {self.url} {what}.",
            "Check PGMODERN_EMBEDDING_URL, PGMODERN_EMBEDDING_MODEL and PGMODERN_EMBEDDING_KEY.",
        )


class AsyncEmbedder:
    """An embedder that works in a thread, so that an event loop goes on meanwhile."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self.model_name = embedder.model_name

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return one vector per text, shape (texts, dimensions); may raise EmbedderError."""
        return await asyncio.to_thread(self._embedder.embed, texts)


_AnyEmbedder = TypeVar("_AnyEmbedder", Embedder, AsyncEmbedder)


def required(embedder: _AnyEmbedder | None) -> _AnyEmbedder:
    """Return the embedder that a search by text needs; raises EmbedderError where none is given."""
    if embedder is None:
        raise EmbedderError(
            "The repository was given no embedding model, which a search by text needs.",
            "Make it with one: embedders.from_settings(settings.read()).",
        )
    return embedder


def from_settings(settings: Settings) -> Embedder:
    """Return the embedder that the settings name, the local one when they name none."""
    if settings.embedding_url is None:
        return LocalEmbedder()
    if settings.embedding_model is None:
        raise SettingsError(
            "PGMODERN_EMBEDDING_URL names no model.", "Set PGMODERN_EMBEDDING_MODEL too."
        )
    return HttpEmbedder(settings.embedding_url, settings.embedding_model, settings.embedding_key)


def unit(vectors: NDArray[Any]) -> NDArray[np.float32]:
    """Scale each row to length one; a row of zeros (of an empty text) stays as it is."""
    vectors = np.asarray(vectors, dtype=np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1)).astype(np.float32)


def padded(vectors: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Fill up each row with zeros to a column's dimensions, which keeps every cosine.

    Raises EmbedderError when the vectors are longer than the column.
    """
    spare = dimensions - vectors.shape[1]
    if spare < 0:
        raise EmbedderError(
            f"The model gives {vectors.shape[1]:,} dimensions, the column takes {dimensions:,}.",
            "Use a smaller model, or add a column for this one.",
        )
    return np.pad(vectors, ((0, 0), (0, spare)))
