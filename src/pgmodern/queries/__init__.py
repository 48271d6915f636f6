"""Pure functions from a declared index to the one statement that searches by it.

A search returns the primary key and a `score` in 0..1, best first, at most `limit` rows;
`with_payload` joins what is to be shown to the few rows that were found.
"""

from pgmodern.queries.batch import batch
from pgmodern.queries.bm25 import bm25
from pgmodern.queries.counts import Count
from pgmodern.queries.documents import documents
from pgmodern.queries.fulltext import full_text
from pgmodern.queries.fuzzy import fuzzy
from pgmodern.queries.groups import last_of_each
from pgmodern.queries.hybrid import Leg, hybrid
from pgmodern.queries.nearest import nearest
from pgmodern.queries.pages import Page, page
from pgmodern.queries.paths import Graph, Reach, paths, reachable
from pgmodern.queries.payload import with_payload
from pgmodern.queries.queue import Queue, acknowledge, claim
from pgmodern.queries.staged import Stage, staged
from pgmodern.queries.suggest import suggest

__all__ = [
    "Count",
    "Graph",
    "Leg",
    "Page",
    "Queue",
    "Reach",
    "Stage",
    "acknowledge",
    "batch",
    "bm25",
    "claim",
    "documents",
    "full_text",
    "fuzzy",
    "hybrid",
    "last_of_each",
    "nearest",
    "page",
    "paths",
    "reachable",
    "staged",
    "suggest",
    "with_payload",
]
