"""Pack functions for Lambda: python -m infra.package [FUNCTION ...]."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from infra.package.failures import CannotPackage
from infra.package.packages import OUTPUT, RUNTIME, Package, names, package
from infra.template import InvalidTemplate

_MB = 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.package", description=__doc__)
    parser.add_argument("functions", nargs="*", metavar="FUNCTION", help="a folder under functions/ (default: all)")
    parser.add_argument("--runtime", default=RUNTIME, help="what it will run on (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the zips go (default: build)")
    given = parser.parse_args(arguments)
    # So that nothing half-made stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        packages = [
            package(name, runtime=given.runtime, output=given.output, say=_say) for name in given.functions or names()
        ]
    except KeyboardInterrupt:
        return 130
    except (CannotPackage, InvalidTemplate) as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(f"{error.filename or given.output} cannot be written or read: {error.strerror}.", file=sys.stderr)
        return 1
    print(_table(packages, given.runtime))
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(packages: Sequence[Package], runtime: str) -> str:
    """Return what was packed, a line for each."""
    lines = [f"{'function':<10} {'zip':>9} {'unpacked':>10}  {'sha256':<64}  tried for {runtime}"]
    lines += [
        f"{each.name:<10} {each.zip_bytes / _MB:>6.1f} MB {each.unpacked_bytes / _MB:>7.1f} MB  "
        f"{each.sha256}  {each.tried}"
        for each in packages
    ]
    if any(each.tried == "imports read" for each in packages):
        lines.append(f"There is no {runtime} for Lambda's platform here to import them with, so their code was read.")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
