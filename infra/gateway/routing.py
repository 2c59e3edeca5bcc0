"""Find the route of a request, as API Gateway does."""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple
from urllib.parse import unquote

from functions.shared.problems import MethodNotAllowed, NotFound
from infra.template import Route

_PARAMETER = re.compile(r"{(\w+)}")


class Match(NamedTuple):
    """A route, and the decoded values of its path's parameters."""

    route: Route
    parameters: Mapping[str, str]


class Router:
    """All routes. A path with fixed segments wins over one with parameters."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._paths: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._paths.setdefault(route.path, {})[route.method] = route
        # Few parameters first; the sort is stable, so otherwise the template's order holds.
        patterns = sorted(self._paths, key=lambda path: path.count("{"))
        self._patterns = [(re.compile(_pattern(path)), path) for path in patterns]

    def match(self, method: str, raw_path: str) -> Match:
        """Return the route of a percent-encoded path.

        It is matched before it is decoded, so an encoded slash stays within its segment.

        Raises:
            NotFound: no route has this path.
            MethodNotAllowed: some have, but with other methods.
        """
        for pattern, path in self._patterns:
            if found := pattern.fullmatch(raw_path):
                routes = self._paths[path]
                if method not in routes:
                    raise MethodNotAllowed(list(routes))
                values = {name: unquote(value) for name, value in found.groupdict().items()}
                return Match(routes[method], values)
        raise NotFound


def _pattern(path: str) -> str:
    parts = _PARAMETER.split(path)
    # Odd parts are the names of parameters.
    return "".join(f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part) for index, part in enumerate(parts))
