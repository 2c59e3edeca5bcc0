"""Read all stored bytes against their digests: python -m infra.verify. The exit code is 1 if something is damaged.

Only reads, and may run beside the service. MONGODB_URL says where.
"""

import argparse
import contextlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, NamedTuple

import msgspec
import pymongo.errors

from functions.shared.mongo import connect_mongo
from functions.shared.problems import Unavailable
from functions.shared.settings import InvalidSettings, from_env
from functions.shared.text import escaped
from infra.verify.verify import Damage, stored_bytes, verify_conversions, verify_files

INTERRUPTED = 130


class Settings(msgspec.Struct, frozen=True):
    """Where MongoDB is."""

    mongodb_url: Annotated[str, msgspec.Meta(pattern=r"^mongodb(\+srv)?://.")]


class Display(NamedTuple):
    """Shows how far it is, and what was found."""

    advance: Callable[[int], None]
    tell: Callable[[str], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(arguments)
    try:
        return 1 if verify(from_env(Settings, os.environ).mongodb_url) else 0
    except InvalidSettings as error:
        print(error, file=sys.stderr)
    except Unavailable as error:
        print(f"MongoDB at MONGODB_URL does not answer, so not all was read: {error.__cause__!r}", file=sys.stderr)
    except pymongo.errors.PyMongoError as error:
        print(f"MongoDB at MONGODB_URL cannot be used: {error!r}", file=sys.stderr)
    except KeyboardInterrupt:
        print("Interrupted: not all was read.", file=sys.stderr)
        return INTERRUPTED
    return 1


def verify(mongodb_url: str) -> int:
    """Read everything, print what is damaged, and return how many files are. Raises Unavailable and PyMongoError."""
    database = connect_mongo(mongodb_url)
    files = size = 0
    damaged: set[tuple[str, str]] = set()
    with contextlib.closing(database.client), _display(stored_bytes(database)) as display:

        def tell(damages: Sequence[Damage]) -> None:
            for each in damages:
                damaged.add((each.bucket, each.file_id))
                display.tell(_line(each))

        for verified in verify_files(database, display.advance):
            files += 1
            size += verified.bytes
            tell(verified.damages)
        for missing in verify_conversions(database):
            tell([missing])
    end = f"{len(damaged)} are damaged or missing." if damaged else "All are as they were stored."
    print(f"Read {files} files, {size} bytes. {end}")
    return len(damaged)


def _line(damage: Damage) -> str:
    whose = f", owner {escaped(damage.owner_id)}" if damage.owner_id else ", which is not there"
    return (
        f"{damage.bucket}/{escaped(damage.file_id)}: {damage.what}; conversion {escaped(damage.conversion_id)}{whose}"
    )


@contextlib.contextmanager
def _display(total: int) -> Iterator[Display]:
    # The images that functions run in do without Rich.
    if not sys.stderr.isatty() or importlib.util.find_spec("rich") is None:
        yield Display(lambda _: None, lambda line: print(line, flush=True))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415
    from rich.progress import TransferSpeedColumn as SpeedColumn  # noqa: PLC0415

    columns = (TextColumn("Reading"), BarColumn(), DownloadColumn(), SpeedColumn(), TimeRemainingColumn())
    # What is printed on the same terminal goes above the display. But into a file it goes as it is.
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=sys.stdout.isatty()) as progress:
        reading = progress.add_task("", total=total)
        yield Display(lambda count: progress.advance(reading, count), lambda line: print(line, flush=True))


if __name__ == "__main__":
    sys.exit(main())
