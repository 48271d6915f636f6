"""What an index that holds less of each vector saves, and what it costs to put that right."""

from functools import partial

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from benchmarks.database import build, megabytes
from benchmarks.dataset import Dataset
from benchmarks.latency import timed
from benchmarks.nearest import (
    BUILD_MEMORY,
    DIMENSIONS,
    SEED,
    K,
    Recording,
    RecordingRepository,
    Split,
    exact,
    held_out,
    ids,
    load,
    recall,
)
from benchmarks.report import Figure, Report
from pgmodern.errors import VectorError
from pgmodern.indexes import HnswIndex
from pgmodern.tuning import halfways, tune

QUERIES, TUNED_ON = 400, 60
TARGETS = (0.95, 0.99)
BREADTHS = (20, 40, 60, 100, 160, 200)
_EMBEDDING = Recording.__table__.c.embedding
WAYS = {
    "vector": HnswIndex("ix_recordings_vector", _EMBEDDING),
    "halfvec": Recording.embedding_hnsw,
    "bits": HnswIndex("ix_recordings_bits", _EMBEDDING, quantised=True),
    "the first 192 dimensions": HnswIndex(
        "ix_recordings_192", _EMBEDDING, prefix=DIMENSIONS // 2, as_halfvec=True
    ),
}


def measure(engine: Engine, split: Split, what: str, index: HnswIndex) -> list[Figure]:
    """Tune an index for each recall, and ask it for the neighbours of what is not in the table."""
    figures = [Figure(f"{what}: index", megabytes(engine, str(index.name)), "MB")]
    repository = type("Repository", (RecordingRepository,), {"vectors": index})
    queries = list(split.asked[:QUERIES])
    truth = exact(split, split.asked[:QUERIES])
    for target in TARGETS:
        with Session(engine) as session:
            try:
                tuned = tune(session, index, target, k=K, queries=TUNED_ON)
            except VectorError:
                figures.append(Figure(f"{what}, tuned for {target}: not reached", 0, ""))
                continue
            session.commit()
        found = timed(engine, queries, lambda s, v: [hit.id for hit in repository(s).nearest(v, K)])
        how = (
            f"oversampling {tuned.oversampling}" if index.coarse else f"ef_search {tuned.ef_search}"
        )
        label = f"{what}, tuned for {target} ({how})"
        figures += [
            Figure(f"{label}: recall@{K}", recall(found.results, truth), ""),
            Figure(f"{label}: p50", found.p50),
            Figure(f"{label}: p95", found.p95),
        ]
    return figures


def asked_for(engine: Engine, split: Split) -> list[Figure]:
    """Show how easily what `tune` asks for is found, beside what is not in the table, and rows."""
    rows = list(split.loaded[np.random.default_rng(SEED).permutation(len(split.loaded))[:QUERIES]])
    kinds = {
        "what is not in it": list(split.asked[:QUERIES]),
        "rows": rows,
        "halfways between rows": halfways(rows, unit=True),
    }
    truth = {what: exact(split, np.stack(vectors)) for what, vectors in kinds.items()}
    figures = []
    for breadth in BREADTHS:
        search = partial(ids, ef_search=breadth)
        for what, vectors in kinds.items():
            share = recall(timed(engine, vectors, search).results, truth[what])
            figures.append(Figure(f"ef_search {breadth}: recall@{K} of {what}", share, ""))
    return figures


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure whole vectors, halved numbers, their signs alone, and half of the dimensions."""
    split = held_out(dataset.vectors())
    songs = dataset.tracks()
    _, halved = load(engine, split, [f"{song.title} - {song.artist}" for song in songs])
    figures = []
    for what, index in WAYS.items():
        is_there = index is Recording.embedding_hnsw
        seconds = halved if is_there else build(engine, index, BUILD_MEMORY)
        figures.append(Figure(f"{what}: build", seconds, "s"))
        figures += measure(engine, split, what, index)
        if not is_there:
            with engine.begin() as connection:
                index.drop(connection)
    figures += asked_for(engine, split)
    return Report(
        f"coarse: the {K} nearest by indexes that hold less",
        "none",
        figures,
        [
            f"{len(split.rows):,} real vectors of {DIMENSIONS} dimensions, of a model that is not "
            f"of the Matryoshka kind; {QUERIES} held out and asked for, seed {SEED}. Tuned on "
            f"{TUNED_ON} halfways between rows by pgmodern.tuning, m = 16, ef_construction = 128.",
        ],
    )
