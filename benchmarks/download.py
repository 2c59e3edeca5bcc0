"""How fast the gateway sends an MP3, beside a plain read of the same file from GridFS."""

import os
import statistics
import subprocess
import sys
import uuid
from collections.abc import Iterator

from rich.console import Console

from functions.shared.conversions import Owner
from functions.shared.mongo import connect_mongo
from infra.local.stack import RunningStack
from tests.stored_mp3s import store_mp3
from video2mp3 import Client

Row = tuple[str, str, str, str, str]

_MEGABYTES = 200
_ROUNDS = 9
_PASSWORD = "a password of the benchmarks"


def run(stack: RunningStack, console: Console) -> Iterator[Row]:
    """Yield the row of the table."""
    database = connect_mongo(stack.urls.mongodb)
    with Client(stack.url) as client:
        address = f"{uuid.uuid4().hex}@example.com"
        client.register(address, _PASSWORD)
        client.login(address, _PASSWORD)
        me = client.me()
        console.print(f"Storing an MP3 of {_MEGABYTES} MB")
        conversion_id = store_mp3(database, Owner(me.id, me.email), (os.urandom(1_000_000) for _ in range(_MEGABYTES)))
        link = client.link(conversion_id, ttl_s=3600).url
    database.client.close()
    ours, theirs, ratios = [], [], []
    for _ in range(_ROUNDS):
        theirs.append(_MEGABYTES / plain_read_s(stack.urls.mongodb, f"{conversion_id}-1"))
        ours.append(_MEGABYTES / curl_s(link))
        ratios.append(ours[-1] / theirs[-1])
        console.print(f"  curl {ours[-1]:.0f} MB/s, plain GridFS read {theirs[-1]:.0f} MB/s")
    yield (
        f"download of an MP3 of {_MEGABYTES} MB",
        f"{statistics.median(ours):.0f} MB/s",
        f"GridFSBucket: {statistics.median(theirs):.0f} MB/s",
        f"{statistics.median(ratios):.2f}",
        "at least 0.5",
    )


def plain_read_s(mongodb_url: str, file_id: str) -> float:
    """Return the seconds that a plain read of a file takes, in a process of its own as curl's is.

    Its start does not count. In a process that has read much before it is up to three times as fast, since glibc
    then keeps the memory of GridFS's large batches instead of giving it back and asking for it anew.
    """
    command = [sys.executable, "-m", "benchmarks.plain_read", mongodb_url, file_id]
    return float(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout)


def curl_s(url: str) -> float:
    """Return the seconds that curl takes to fetch what is there, and to throw it away."""
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        "--output",
        os.devnull,
        "--write-out",
        "%{time_total}",
        url,
    ]
    return float(subprocess.run(command, check=True, capture_output=True, timeout=300).stdout)
