"""Whether what is misspelt is found, by kind of edit and at two sizes, beside other ways."""

import random
import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Engine, Text, func, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.database import copy, megabytes, settle
from benchmarks.dataset import Dataset, Song
from benchmarks.fuzzy import EDITS, SHORTEST, typo
from benchmarks.latency import Timed, timed
from benchmarks.report import Figure, Report
from pgmodern.indexes import TrigramIndex
from pgmodern.repositories import SearchRepository

SEED = 23
QUERIES, BASELINE_QUERIES = 200, 10
VARIANTS = 5  # of each song, for the larger size
K = 10
MANY = 2  # words, fewer than which have no order worth turning round


class Base(DeclarativeBase):
    """The metadata of an application that is not ours."""


class Release(Base):
    """A song, by its title and by title and artist together."""

    __tablename__ = "releases"

    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    title: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)

    title_trgm = TrigramIndex("ix_releases_title", title)
    name_trgm = TrigramIndex("ix_releases_name", name)


@dataclass(frozen=True, slots=True)
class Hit:
    """A song that was found."""

    id: int
    found: str
    score: float


class TitleRepository(SearchRepository[Hit]):
    """Songs by their title."""

    row, payload = Hit, select(Release.id, Release.title)
    trigram = Release.title_trgm


class NameRepository(SearchRepository[Hit]):
    """Songs by title and artist."""

    row, payload = Hit, select(Release.id, Release.name)
    trigram = Release.name_trgm


@dataclass(frozen=True, slots=True)
class Query:
    """What was typed, and what was meant."""

    typed: str
    meant: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to misspell, where it is searched for, and whether by what is typed so far."""

    what: str
    queries: Sequence[Query]
    ask: Callable[[Session, Query], list[Hit]]


class Typist:
    """Draws songs at random and misspells them, the same in each run."""

    def __init__(self, songs: Sequence[Song]) -> None:
        self.chance = random.Random(SEED)
        self.songs = songs
        self.titles = [song.title for song in songs if len(song.title) >= SHORTEST]
        self.several = [each for each in self.titles if len(set(each.lower().split())) > MANY]
        self.accented = [each for each in self.titles if _plain(each) != each]

    def edited(self, edit: str, times: int) -> Query:
        """Edit a title, once or more often."""
        typed = title = self.chance.choice(self.titles)
        for _ in range(times):
            typed = typo(typed + " ", edit, self.chance).typed.strip()
        return Query(typed, title)

    def turned(self) -> Query:
        """Type the first word of a title last."""
        title = self.chance.choice(self.several)
        said = title.split()
        return Query(" ".join(said[1:] + said[:1]), title)

    def plain(self) -> Query:
        """Type a title without its accents."""
        title = self.chance.choice(self.accented)
        return Query(_plain(title), title)

    def begun(self) -> Query:
        """Type the first half of a title."""
        title = self.chance.choice(self.titles)
        return Query(title[: max(3, len(title) // 2)], title)

    def both(self, edits: int) -> Query:
        """Type the artist and then the title."""
        song = self.chance.choice(self.songs)
        typed = f"{song.artist} {song.title}"
        for _ in range(edits):
            typed = typo(typed, self.chance.choice(EDITS), self.chance).typed
        return Query(typed, f"{song.title} - {song.artist}")


def drawn(make: Callable[..., Query], *given: object) -> list[Query]:
    """Draw queries that are not what was meant."""
    found: list[Query] = []
    while len(found) < QUERIES:
        query = make(*given)
        if query.typed.lower() != query.meant.lower():
            found.append(query)
    return found


def kinds(songs: Sequence[Song]) -> list[Kind]:
    """Return the ways to misspell."""
    by = Typist(songs)
    return [
        *(Kind(f"one {edit}", drawn(by.edited, edit, 1), _by_title) for edit in EDITS),
        *(Kind(f"two of {edit}", drawn(by.edited, edit, 2), _by_title) for edit in EDITS),
        Kind("words turned round", drawn(by.turned), _by_title),
        Kind("without accents", drawn(by.plain), _by_title),
        Kind("artist and title", drawn(by.both, 0), _by_name),
        Kind("artist and title, one edit", drawn(by.both, 1), _by_name),
        Kind("while typing: the first half", drawn(by.begun), _while_typing),
    ]


def _plain(title: str) -> str:
    decomposed = unicodedata.normalize("NFD", title)
    return "".join(c for c in decomposed if not unicodedata.combining(c))


def _by_title(session: Session, query: Query) -> list[Hit]:
    return TitleRepository(session).fuzzy(query.typed, K)


def _by_name(session: Session, query: Query) -> list[Hit]:
    return NameRepository(session).fuzzy(query.typed, K)


def _while_typing(session: Session, query: Query) -> list[Hit]:
    return TitleRepository(session).suggest(query.typed, K)


def _by_similarity(session: Session, query: Query) -> list[str]:
    nearest = func.similarity(Release.title, query.typed).desc()
    return list(session.scalars(select(Release.title).order_by(nearest).limit(K)))


def _by_gist(session: Session, query: Query) -> list[str]:
    nearest = Release.title.op("<->")(query.typed)
    return list(session.scalars(select(Release.title).order_by(nearest).limit(K)))


def rate(queries: Sequence[Query], found: Sequence[Sequence[str]]) -> float:
    """Return how often what was meant, ignoring case, is among the found."""
    hits = (
        query.meant.lower() in map(str.lower, each)
        for query, each in zip(queries, found, strict=True)
    )
    return sum(hits) / len(queries)


def load(engine: Engine, songs: Sequence[Song], variants: int) -> dict[str, float]:
    """Load the songs, and numbered variants of each; return what the indexes take to build."""
    with engine.begin() as connection:
        Base.metadata.drop_all(connection)
        Base.metadata.create_all(connection)
        for index in Release.__table__.indexes:  # type: ignore[attr-defined]
            index.drop(connection)
    titled = (
        (song.title if not n else f"{song.title} {n + 1}", song.artist)
        for n in range(variants + 1)
        for song in songs
    )
    rows = ((n, title, f"{title} - {artist}") for n, (title, artist) in enumerate(titled))
    copy(engine, "releases", ["id", "title", "name"], rows)
    seconds = {}
    gist = "CREATE INDEX ix_releases_gist ON releases USING gist (title gist_trgm_ops (siglen=64))"
    for name, index in (("title", Release.title_trgm), ("name", Release.name_trgm), ("gist", None)):
        started = time.perf_counter()
        with engine.begin() as connection:
            connection.execute(text("SET LOCAL maintenance_work_mem = '512MB'"))
            if index is None:
                connection.execute(text(gist))
            else:
                index.create(connection)
        seconds[name] = time.perf_counter() - started
    settle(engine, "releases")
    return seconds


def measure(engine: Engine, asked: Sequence[Kind], size: str) -> list[Figure]:
    """Ask every kind; the first of them also in the other ways."""
    figures, ours = [], {}
    for kind in asked:
        found = ours[kind.what] = timed(engine, kind.queries, kind.ask)
        names = [[hit.found for hit in hits] for hits in found.results]
        figures += [
            Figure(f"{size}, {kind.what}: hit@{K}", rate(kind.queries, names), ""),
            Figure(f"{size}, {kind.what}: p95", found.p95),
        ]
    replaced = asked[EDITS.index("replace")]
    few = replaced.queries[:BASELINE_QUERIES]
    for what, way in (("similarity() scan", _by_similarity), ("GiST <->", _by_gist)):
        other: Timed[list[str]] = timed(engine, few, way)
        figures += [
            Figure(
                f"{size}, {replaced.what}: p95, beside {what}",
                ours[replaced.what].p95,
                "ms",
                other.p95,
            ),
            Figure(f"{size}, {replaced.what}: hit@{K} of {what}", rate(few, other.results), ""),
        ]
    return figures


def ask(engine: Engine, dataset: Dataset) -> Report:
    """Measure at the size of the real set, and with variants of each song."""
    songs = dataset.tracks()
    asked = kinds(songs)
    figures = []
    for variants in (0, VARIANTS):
        size = f"{len(songs) * (variants + 1):,} songs"
        seconds = load(engine, songs, variants)
        figures += measure(engine, asked, size)
        figures += [
            Figure(f"{size}: build, beside GiST", seconds["title"], "s", seconds["gist"]),
            Figure(
                f"{size}: index, beside GiST",
                megabytes(engine, "ix_releases_title"),
                "MB",
                megabytes(engine, "ix_releases_gist"),
            ),
        ]
    return Report(
        "misspelt: what is meant is found",
        "as said",
        figures,
        [
            f"{QUERIES} real titles of each kind, {BASELINE_QUERIES} for the other ways; seed "
            f"{SEED}. The larger size has {VARIANTS} numbered variants of each song. A hit: a "
            f"title equal to what was meant, ignoring case, is among the {K}.",
        ],
    )
