"""Run the benchmarks against a stack of their own and print them as a table: python -m benchmarks."""

import itertools
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import conversion, download, load, slow_clients, upload
from infra.local.stack import running_stack


def main() -> int:
    """Return the exit status."""
    console = Console()
    table = Table("what", "ours", "beside it", "ratio", "bound", title="Benchmarks (medians)")
    with tempfile.TemporaryDirectory() as folder, running_stack(Path(folder) / "state") as stack:
        rows = itertools.chain(
            # First, since it looks at the memory of a gateway that has not done much.
            load.run(stack, Path(folder), console),
            conversion.run(stack, Path(folder), console),
            upload.run(stack, Path(folder), console),
            download.run(stack, console),
            slow_clients.run(stack, console),
        )
        for row in rows:
            table.add_row(*row)
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
