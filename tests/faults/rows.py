"""What dies in these tests, and what holds all the same. Each row is one line of what `make faults` prints."""

from typing import NamedTuple

import pytest


class Row(NamedTuple):
    """One fault."""

    fault: str
    holds: str


ROWS = {
    1: Row("ffmpeg is killed in mid-encode", "it is tried again, and there is one MP3"),
    2: Row("the worker is killed in mid-encode", "its ffmpeg dies with it; delivered again; one MP3"),
    3: Row("ffmpeg is asked to end, and leaves a part that plays", "a failed attempt, never completed"),
    4: Row("the worker dies around the commit", "one MP3; what is delivered again does nothing"),
    5: Row("ffmpeg is stopped and stands still", "it is given up, killed with all its processes, tried again"),
    6: Row("memory is too small in every attempt", "failed as resource-limit after three attempts"),
    7: Row("an upload dies when its bytes are stored, before its document", "swept away; the client's next try works"),
    8: Row("an upload dies after its document, before publishing", "sweep publishes"),
    9: Row("the relay dies before it notes a publication", "published twice, and the second does nothing"),
    10: Row("RabbitMQ restarts while events are published", "what was not confirmed is sent again"),
    11: Row("a queue is unbound or deleted", "the event stays owed, /readyz says so, the message comes back"),
    12: Row("RabbitMQ is out of memory or disk", "uploads are accepted, their events owed"),
    13: Row("a worker stalls until it has lost its lease", "its commit is refused"),
    14: Row("one message is delivered five times at once", "one encode, one e-mail"),
    15: Row("a message is malformed", "it is a dead letter, and the consumer lives"),
    16: Row("a message fails always", "the attempts that we count end it"),
    17: Row("MongoDB restarts in mid-upload", "tried again, or 503 with Retry-After; the client goes on"),
    18: Row("MongoDB is killed after it acknowledged a video", "the stored bytes are the sent ones"),
    19: Row("MongoDB is lost in mid-download", "broken off; a short body never looks whole"),
    20: Row("a stored chunk is deleted, cut, changed", "failed as storage-corrupt; never a wrong MP3"),
    21: Row("PostgreSQL is down", "503 and not 401; /readyz says so; conversions go on"),
    22: Row("the disk is full", "an attempt that is made again; no temporary file stays"),
    23: Row("the mail server is lost after it took a letter", "sent again at most once, with the same Message-ID"),
    24: Row("a client sends one byte a second", "408, and nobody else is slower"),
    25: Row("a client goes away in mid-upload", "a form leaves nothing; tus goes on where it was"),
    26: Row("a clock jumps by five minutes, either way", "nothing but the leeway of tokens matters"),
    27: Row("the keys that sign tokens are changed under load", "nobody is refused who may come in"),
    28: Row("every process is asked to end, as when deploying", "work ends or goes back; nothing is lost"),
    29: Row("anything of this at random, under load", "lost 0, stuck 0, duplicated 0"),
}

_OBSERVED = "observed"


def observe(item: pytest.Item, text: str) -> None:
    """Note what a test of a row saw. It travels with the test's report, from other processes too."""
    item.user_properties.append((_OBSERVED, text))


def table(reports: list[pytest.TestReport]) -> list[str]:
    """Return one line for each row: how many of its tests passed, and what they saw."""
    by_row: dict[int, list[pytest.TestReport]] = {}
    for report in reports:
        for name, row in getattr(report, "user_properties", ()):
            if name == "row":
                by_row.setdefault(int(str(row)), []).append(report)
    return [_line(number, row, by_row.get(number, [])) for number, row in ROWS.items()] if by_row else []


def _line(number: int, row: Row, reports: list[pytest.TestReport]) -> str:
    if not reports:
        return f"{number:>2}  not run  {row.fault}"
    failed = sum(report.failed for report in reports)
    seen = [
        str(text) for report in reports for name, text in getattr(report, "user_properties", ()) if name == _OBSERVED
    ]
    return f"{number:>2}  {'FAILED ' if failed else 'holds  '}  {row.fault}: {'; '.join(seen) or row.holds}"
