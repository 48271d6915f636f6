"""The real data, read by path; none of it is part of the project."""

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

DEFAULT_FOLDER = Path(__file__).parents[2] / "shared" / "data"


class DataMissing(Exception):
    """A file of the data is not there; the message says where it was looked for."""


@dataclass(frozen=True, slots=True)
class Song:
    """A title by an artist."""

    title: str
    artist: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A song on a weekly chart."""

    song: Song
    position: int
    peak_position: int
    weeks_on_chart: int


@dataclass(frozen=True, slots=True)
class Week:
    """One week's chart; entries by position."""

    date: str
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Playlist:
    """A published playlist."""

    name: str
    songs: list[Song]


@dataclass(frozen=True, slots=True)
class Said:
    """A message of a real conversation, which is named by its source and number."""

    conversation: tuple[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class Perfume:
    """A fragrance; `notes` are what it smells of, from top to base."""

    name: str
    brand: str
    description: str | None
    accords: list[str]
    notes: list[str]
    rating_value: float | None
    rating_count: int


@dataclass(frozen=True, slots=True)
class Question:
    """A question to a collection, its embedding, and how relevant its documents are, by id."""

    text: str
    embedding: NDArray[np.float32]
    relevance: dict[str, int]


@dataclass(frozen=True, slots=True)
class Paper:
    """A document of a collection, and its embedding."""

    id: str
    title: str
    text: str
    embedding: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents, and questions about them that people have judged."""

    name: str
    papers: list[Paper]
    questions: list[Question]


@dataclass(frozen=True, slots=True)
class Dataset:
    """The files under one folder; every method raises DataMissing when its file is not there."""

    folder: Path = DEFAULT_FOLDER

    def tracks(self) -> list[Song]:
        """Return the 177,081 tracks; the place of each is the row of its vector."""
        with gzip.open(self._file("music/tracks_union.csv.gz"), "rt", encoding="utf-8") as lines:
            return [Song(row["title"], row["artist"]) for row in csv.DictReader(lines)]

    def playlists(self, state: Literal["current", "cumulative"]) -> list[Playlist]:
        """Return 250 real playlists, as they are or with all that was ever in them."""
        return [
            Playlist(
                each["name"],
                [
                    Song(track["title"], track["artists"][0]["name"])
                    for track in each["tracks"]
                    if track["artists"]
                ],
            )
            for each in self._documents(f"music/spotify_playlists_{state}.jsonl.gz")
        ]

    def weeks(self) -> list[Week]:
        """Return the weekly charts, the oldest first."""
        return [
            Week(
                each["date"],
                [
                    Entry(
                        Song(entry["song"], entry["artist"]),
                        entry["this_week"],
                        entry["peak_position"],
                        entry["weeks_on_chart"],
                    )
                    for entry in each["data"]
                ],
            )
            for each in self._documents("music/billboard_hot100_weekly.jsonl.gz")
        ]

    def perfumes(self) -> list[Perfume]:
        """Return the 23,903 fragrances whose number of ratings is right."""
        return [
            Perfume(
                each["name"],
                each["brand"] or "",
                each["description"],
                each["accords"],
                [note for level in each["notes"].values() for note in level],
                each["rating"],
                each["rating_count"],
            )
            for each in self._documents("fragrance/fragrantica_70k.jsonl.gz")
            if each["rating_count_exact"]
        ]

    def vectors(self) -> NDArray[np.float32]:
        """Return a 384-dimension embedding of "title - artist" for every track, as float32."""
        with gzip.open(self._file("vectors/tracks_minilm384.int8.npy.gz")) as file:
            steps = np.load(file)
        with gzip.open(self._file("vectors/tracks_minilm384.scale_f32.npy.gz")) as file:
            scale = np.load(file)
        vectors: NDArray[np.float32] = steps * scale.reshape(-1, 1).astype(np.float32)
        return vectors

    def messages(self) -> list[Said]:
        """Return the 839,430 messages of 26,690 conversations, those of each in their order."""
        with gzip.open(self._file("chat/chat_messages.csv.gz"), "rt", encoding="utf-8") as lines:
            return [
                Said((row["source"], row["conversation_id"]), row["text"])
                for row in csv.DictReader(lines)
            ]

    def characters(self) -> list[dict[str, Any]]:
        """Return the attributes of the 36,868 characters."""
        return [each["attributes"] for each in self._documents("chat/characters.jsonl.gz")]

    def collection(self, name: Literal["cranfield", "cisi"]) -> Collection:
        """Return a collection of the classic retrieval experiments, without unjudged questions."""
        vectors = {kind: self._embeddings(f"{name}_{kind}") for kind in ("docs", "queries")}
        judged: dict[str, dict[str, int]] = {}
        with gzip.open(self._file(f"ir/{name}_qrels.tsv.gz"), "rt", encoding="utf-8") as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                relevance = judged.setdefault(row["query_id"], {})
                relevance[row["doc_id"]] = max(0, int(row["rel"]))
        papers = [
            Paper(each["id"], each["title"], each["text"], vectors["docs"][each["id"]])
            for each in self._documents(f"ir/{name}_docs.jsonl.gz")
        ]
        questions = [
            Question(each["text"], vectors["queries"][each["id"]], judged[each["id"]])
            for each in self._documents(f"ir/{name}_queries.jsonl.gz")
            if each["id"] in judged
        ]
        return Collection(name, papers, questions)

    def _embeddings(self, name: str) -> dict[str, NDArray[np.float32]]:
        with np.load(self._file(f"vectors/ir_{name}_minilm384.npz")) as held:
            vectors = held["vectors"].astype(np.float32)
            return dict(zip(map(str, held["ids"]), vectors, strict=True))

    def _documents(self, name: str) -> Iterator[dict[str, Any]]:
        with gzip.open(self._file(name), "rt", encoding="utf-8") as lines:
            yield from map(json.loads, lines)

    def _file(self, name: str) -> Path:
        path = self.folder / name
        if not path.is_file():
            raise DataMissing(
                f"{path} is not there.\n"
                "The benchmarks run on real data that is not part of the project; name its folder "
                "with --data."
            )
        return path
