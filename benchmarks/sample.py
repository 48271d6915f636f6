"""`python -m benchmarks.sample`: make the sample that ships in the package, out of bare facts."""

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.dataset import DEFAULT_FOLDER, Dataset, Song, Week

SAMPLE = Path(__file__).parents[1] / "src/pgmodern/reference/music/sample.json.gz"
ORIGIN = (
    "Bare facts (titles, artists, chart dates and positions) of the weekly Billboard Hot 100 "
    "charts, 1958 to today."
)
PLAYLISTS = 250
SONGS = 5_000
FAMOUS_POSITIONS = 20  # a famous song counts from here on, so that the cut below cannot lose it
FAMOUS = {
    Song("Yesterday", "The Beatles"),
    Song("Hey Jude", "The Beatles"),
    Song("I Want To Hold Your Hand", "The Beatles"),
    Song("(I Can't Get No) Satisfaction", "The Rolling Stones"),
    Song("Like A Rolling Stone", "Bob Dylan"),
    Song("Good Vibrations", "The Beach Boys"),
    Song("Respect", "Aretha Franklin"),
    Song("Bridge Over Troubled Water", "Simon & Garfunkel"),
    Song("What's Going On", "Marvin Gaye"),
    Song("Superstition", "Stevie Wonder"),
    Song("Bohemian Rhapsody", "Queen"),
    Song("Another One Bites The Dust", "Queen"),
    Song("Hotel California", "Eagles"),
    Song("Dancing Queen", "ABBA"),
    Song("Stayin' Alive", "Bee Gees"),
    Song("Billie Jean", "Michael Jackson"),
    Song("Every Breath You Take", "The Police"),
    Song("When Doves Cry", "Prince"),
    Song("Like A Virgin", "Madonna"),
    Song("Like A Prayer", "Madonna"),
    Song("Take On Me", "a-ha"),
    Song("Livin' On A Prayer", "Bon Jovi"),
    Song("Sweet Child O' Mine", "Guns N' Roses"),
    Song("Smells Like Teen Spirit", "Nirvana"),
    Song("I Will Always Love You", "Whitney Houston"),
    Song("Wonderwall", "Oasis"),
    Song("...Baby One More Time", "Britney Spears"),
    Song("Lose Yourself", "Eminem"),
    Song("Hey Ya!", "OutKast"),
    Song("Rolling In The Deep", "Adele"),
    Song("Blinding Lights", "The Weeknd"),
}


def spread(weeks: Sequence[Week], count: int) -> Iterator[Week]:
    """Choose one week of each of `count` equal stretches: the one with most famous songs.

    Where a stretch has none, the week in its middle.
    """
    for number in range(count):
        first, end = (len(weeks) * edge // count for edge in (number, number + 1))
        yield max(
            weeks[first:end],
            key=lambda week: (_famous(week), -abs(weeks.index(week, first) - (first + end) // 2)),
        )


def _famous(week: Week) -> int:
    return len(FAMOUS & _songs([week], FAMOUS_POSITIONS).keys())


def _songs(weeks: Sequence[Week], positions: int) -> dict[Song, None]:
    return dict.fromkeys(
        entry.song for week in weeks for entry in week.entries if entry.position <= positions
    )


def document(weeks: Sequence[Week], positions: int) -> dict[str, Any]:
    """Return the sample of these weeks' first positions; an entry names its song by number."""
    numbers = {song: number for number, song in enumerate(_songs(weeks, positions))}
    return {
        "origin": ORIGIN,
        "songs": [[song.title, song.artist] for song in numbers],
        "playlists": [
            {
                "date": week.date,
                "entries": [
                    [numbers[entry.song], entry.position, entry.peak_position, entry.weeks_on_chart]
                    for entry in week.entries
                    if entry.position <= positions
                ],
            }
            for week in weeks
        ],
    }


def write(path: Path, sample: dict[str, Any]) -> None:
    """Write the sample; the same sample always gives the same bytes."""
    text = json.dumps(sample, ensure_ascii=False, separators=(",", ":"))
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        packed.write(text.encode())


def main(
    data: Annotated[Path, typer.Option(help="the folder of the real data")] = DEFAULT_FOLDER,
) -> None:
    """Make the sample anew."""
    weeks = list(spread(Dataset(data).weeks(), PLAYLISTS))
    positions = min(range(1, 101), key=lambda n: abs(len(_songs(weeks, n)) - SONGS))
    sample = document(weeks, positions)
    write(SAMPLE, sample)
    entries = sum(len(playlist["entries"]) for playlist in sample["playlists"])
    there = FAMOUS & _songs(weeks, positions).keys()
    console = Console()
    console.print(
        f"{SAMPLE.name}: {len(sample['songs']):,} songs, {len(weeks)} playlists of the first "
        f"{positions} positions ({entries:,} entries), {weeks[0].date} to {weeks[-1].date}, "
        f"{SAMPLE.stat().st_size / 1000:.0f} kB"
    )
    console.print(f"{len(there)} of {len(FAMOUS)} famous songs are in, without:")
    console.print("; ".join(sorted(f"{s.title} / {s.artist}" for s in FAMOUS - there)) or "none")


if __name__ == "__main__":
    typer.run(main)
