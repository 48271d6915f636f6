"""Every public read is proved to be served by an index: here it is told where."""

import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator

import pytest

from pgmodern import queries
from pgmodern.reference import audio, chat, fragrance, music
from tests.queries import test_batch, test_bm25, test_groups, test_paths, test_queue, test_staged
from tests.reference.audio import test_repository as of_audio
from tests.reference.chat import test_repository as of_chat
from tests.reference.fragrance import test_events, test_interactions, test_similar
from tests.reference.music.repository import test_plans as of_music

Method = tuple[type, str]

PACKAGES = ["music", "chat", "audio", "fragrance"]
WRITES = {
    "acknowledge",
    "add_version",
    "forget",
    "record",
    "remove",
    "retire",
    "reward",
    "save",
    "store",
    "switch",
}
PLANS_ONLY = {"estimated_count"}  # it reads what the planner expects, and counts what is few


def _of(repository: type, names: Iterable[str]) -> Iterator[Method]:
    """Return the methods that a table of reads has a row for: "method" or "method: what"."""
    return ((repository, name.partition(":")[0]) for name in names)


PROVED: set[Method] = {
    *(
        method
        for table in (of_music.READS, of_chat.READS)
        for name, read, *_ in table
        for method in _of((of_music.MUSIC | of_chat.CHAT)[name], [read])
    ),
    *_of(audio.SampleRepository, of_audio.READS),
    *_of(fragrance.FragranceRepository, test_similar.READS),
}
PROVED_BY: dict[Method, Callable[..., object]] = {
    (
        fragrance.AlgorithmPerformanceRepository,
        "beliefs",
    ): test_similar.test_beliefs_and_what_is_pending_are_served_by_keys,
    (
        fragrance.AlgorithmPerformanceRepository,
        "choose",
    ): test_similar.test_beliefs_and_what_is_pending_are_served_by_keys,
    (
        fragrance.FragranceEmbeddingRepository,
        "pending",
    ): test_similar.test_beliefs_and_what_is_pending_are_served_by_keys,
    (
        fragrance.FragranceRelationshipRepository,
        "paths",
    ): test_interactions.test_paths_are_read_by_the_index_of_the_strongest,
    (
        fragrance.FragranceRelationshipRepository,
        "strongest",
    ): test_interactions.test_the_strongest_are_read_by_their_index,
    (
        fragrance.FragranceRepository,
        "suggest",
    ): test_similar.test_suggestions_can_be_served_by_their_index,
    (
        fragrance.UserInteractionEventRepository,
        "claim",
    ): test_events.test_events_are_read_by_their_indexes,
    (
        fragrance.UserInteractionEventRepository,
        "latest",
    ): test_events.test_events_are_read_by_their_indexes,
}
MUSIC_READS = {(table, read.partition(":")[0]) for table, read, *_ in of_music.READS}
QUERIES_PROVED_BY: dict[str, Callable[..., object] | tuple[str, str]] = {
    "batch": test_batch.test_a_batch_is_served_by_the_index_of_its_search,
    "bm25": test_bm25.test_words_are_looked_up_in_the_index,
    "claim": test_queue.test_a_claim_is_served_by_the_index_of_what_waits,
    "documents": ("archives", "containing"),
    "full_text": ("tracks", "full_text"),
    "fuzzy": ("tracks", "fuzzy"),
    "hybrid": ("tracks", "search"),
    "last_of_each": test_groups.test_no_more_than_the_last_are_read,
    "nearest": ("embeddings", "nearest"),
    "page": ("archives", "newest"),
    "paths": test_paths.test_only_the_strongest_edges_are_read_by_their_index,
    "reachable": test_paths.test_only_the_strongest_edges_are_read_by_their_index,
    "staged": test_staged.test_the_coarse_stage_is_served_by_its_index,
    "suggest": ("tracks", "suggest"),
    "with_payload": ("tracks", "fuzzy"),
}


def _repositories() -> Iterator[type]:
    for package in PACKAGES:
        module = importlib.import_module(f"pgmodern.reference.{package}")
        for name in module.__all__:
            if name.endswith("Repository") and not name.startswith("Async"):
                yield getattr(module, name)


def _methods(repository: type) -> set[str]:
    return {
        name
        for name, _ in inspect.getmembers(repository, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("repository", list(_repositories()))
def test_every_public_read_has_its_proof(repository: type) -> None:
    proved = {name for of, name in PROVED | PROVED_BY.keys() if of is repository}
    methods = _methods(repository)
    assert proved == methods - WRITES - PLANS_ONLY


def test_no_repository_is_left_out() -> None:
    assert {of for of, _ in PROVED | PROVED_BY.keys()} == set(_repositories())
    assert len({music, chat, audio, fragrance}) == len(PACKAGES)


def test_every_query_has_its_proof() -> None:
    functions = {name for name in queries.__all__ if name.islower()}
    assert QUERIES_PROVED_BY.keys() == functions - WRITES
    named = [proof for proof in QUERIES_PROVED_BY.values() if isinstance(proof, tuple)]
    assert set(named) <= MUSIC_READS
