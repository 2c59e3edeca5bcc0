"""Lines that tests have for the people who read the output of a run."""

import pytest


class Report:
    """What is printed at the end, whether tests pass or not."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @classmethod
    def of(cls, config: pytest.Config) -> "Report":
        """Return the one of this run."""
        return config.stash.setdefault(_KEY, cls())

    def add(self, title: str, *lines: str) -> None:
        """Add a paragraph."""
        self.lines += ["", title, *(f"  {line}" for line in lines)]


_KEY = pytest.StashKey[Report]()


def is_first_worker(config: pytest.Config) -> bool:
    """Whether this process is the only one that runs tests, or the first of several, each of which sees all."""
    return bool(getattr(config, "workerinput", {}).get("workerid", "gw0") == "gw0")
