"""The port for what is stored in a bucket and belongs to nothing."""

from datetime import timedelta
from typing import Protocol


class Leftovers(Protocol):
    """The files of one bucket, and chunks without a file, that nothing owns. Time is the storage's own."""

    def clear(self, look_at: int, left_for: timedelta) -> list[str]:
        """Look at the next `look_at` files, and see to it that those go which are left over for `left_for` or more.

        The next call goes on from there, and begins anew at the end. Returns the ids of those that go.
        """
