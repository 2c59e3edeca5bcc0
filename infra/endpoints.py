"""Where functions are: in this process, or behind the Lambda Invoke API at a URL."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from functions.shared.settings import InvalidSettings
from infra.invoke import Functions, FunctionUnavailable
from infra.template import Function

_ALL_OTHERS = "*"


def parse_endpoints(text: str, functions: Mapping[str, Function]) -> dict[str, str]:
    """Return the URLs of the functions that are not in this process.

    They are written as in FUNCTION_ENDPOINTS, like `AuthFunction=http://auth:9000,*=http://others:9000`, where `*` is
    all that are not named. Raises InvalidSettings.
    """
    given: dict[str, str] = {}
    for name, url in _pairs(text):
        if name not in functions and name != _ALL_OTHERS:
            raise _unusable(f"there is no function {name!r}. There are {', '.join(sorted(functions))}.")
        if name in given:
            raise _unusable(f"{name!r} is there twice.")
        _check_url(name, url)
        given[name] = url
    others = given.pop(_ALL_OTHERS, None)
    return given if others is None else dict.fromkeys(functions, others) | given


class ChosenFunctions:
    """Functions that are in several places. Implements Functions."""

    def __init__(self, places: Mapping[str, Functions]) -> None:
        self._places = places

    def invoke(self, function_name: str, event: Any) -> Any:
        """See Functions."""
        place = self._places.get(function_name)
        if place is None:
            raise FunctionUnavailable(f"There is no function {function_name}.")
        # Whoever is called lets go of the event early, so nothing here may hold it.
        handed_on = [event]
        del event
        return place.invoke(function_name, handed_on.pop())


def choose_functions(
    functions: Mapping[str, Function], here: Functions, endpoints: Mapping[str, str], *, prefix: str
) -> Functions:
    """Return functions that are called at their `endpoints`, where names begin with `prefix`, and else `here`.

    Raises InvalidSettings.
    """
    if not endpoints:
        return here
    # It brings boto3, which takes half a second and 20 MB that a process without endpoints can do without.
    from infra.lambda_functions import connect_functions  # noqa: PLC0415

    places = dict.fromkeys(functions, here)
    for url in set(endpoints.values()):
        there = {name: functions[name] for name in endpoints if endpoints[name] == url}
        places |= dict.fromkeys(there, connect_functions(there, url, prefix=prefix))
    return ChosenFunctions(places)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for part in filter(None, map(str.strip, text.split(","))):
        name, equals, url = part.partition("=")
        if not equals:
            raise _unusable(f"{part!r} is not like name=url.")
        yield name.strip(), url.strip()


def _check_url(name: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.username is not None or parts.query or parts.fragment:
        # What is there may hold a password.
        raise _unusable(f"{name!r} needs a URL like http://host:9000, without a user, a password or a query.")


def _unusable(why: str) -> InvalidSettings:
    return InvalidSettings(f"The environment variable FUNCTION_ENDPOINTS cannot be used: {why}")
