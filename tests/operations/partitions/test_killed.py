"""Partitioning, extending and taking back, killed before any statement."""

from typing import Any

from tests.operations.partitions.plays import Proof, Step


def test_killed_anywhere_it_is_finished_by_the_next(proof: Proof) -> None:
    proof("partition_table_online", partition_songs, unpartition_songs, fill=FILL_SONGS)


def test_killed_anywhere_it_is_one_table_after_the_next(proof: Proof) -> None:
    proof(
        "unpartition_table_online",
        unpartition_songs,
        partition_songs,
        fill=FILL_SONGS,
        first=partition_songs,
    )


def test_killed_anywhere_the_next_partitions_are_there_after_the_next(proof: Proof) -> None:
    more: Step = lambda op: op.add_partitions("songs", 6)  # noqa: E731
    proof("add_partitions", more, drop_three, fill=FILL_SONGS, first=partition_songs)


def drop_three(op: Any) -> None:
    """Drop what was added to the three partitions that there are at first."""
    op.execute("DROP TABLE songs_from_5000, songs_from_6000, songs_from_7000")


FILL_SONGS = "INSERT INTO songs (title) SELECT 't' || i FROM generate_series(1, 900) AS i"


def partition_songs(op: Any) -> None:
    """Partition the table that every proof is made on."""
    op.partition_table_online("songs", "id", interval=1000)


def unpartition_songs(op: Any) -> None:
    """Put its first partition in its place again."""
    op.unpartition_table_online("songs")
