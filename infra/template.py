"""Read template.yaml: the functions, and the routes, queues and schedules that call them.

SAM and the local gateway and triggers read the same file, so a route cannot exist in one place only. What is
understood here is the part of AWS SAM that the template uses; anything else that could change a call is refused
with its place in the file. https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

TEMPLATE = Path(__file__).parent.parent / "template.yaml"

_METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


class InvalidTemplate(Exception):
    """Raised when the template cannot be used. The message says where and why."""


@dataclass(frozen=True)
class Function:
    """One Lambda function. `name` is its logical id, `handler` its import path: module, dot, attribute."""

    name: str
    handler: str
    timeout_s: int
    memory_mb: int

    @property
    def package(self) -> str:
        """The folder under functions/ that it is in, which is packed and deployed as one. Two may share it."""
        return self.handler.split(".")[1]


@dataclass(frozen=True)
class Route:
    """One method of one path, and the name of the function that answers. `path` has `{parameters}`.

    If `guarded`, the authorizer is asked first. If `sliced`, a body that does not fit into one event may be handed on
    in slices.
    """

    method: str
    path: str
    function: str
    guarded: bool
    sliced: bool = False


@dataclass(frozen=True)
class QueueTrigger:
    """A function, by name, is called with messages of a RabbitMQ queue, at most `batch_size` at a time."""

    function: str
    queue: str
    batch_size: int


@dataclass(frozen=True)
class ScheduleTrigger:
    """A function, by name, is called every `period_s` seconds."""

    function: str
    period_s: int


@dataclass(frozen=True)
class Template:
    """What template.yaml says. `authorizer` is the name of the function that guards; None if nothing is guarded."""

    functions: Mapping[str, Function]
    routes: tuple[Route, ...]
    authorizer: str | None
    binary_media_types: tuple[str, ...]
    queue_triggers: tuple[QueueTrigger, ...]
    schedule_triggers: tuple[ScheduleTrigger, ...]


def load_template(path: Path = TEMPLATE) -> Template:
    """Read a template. Raises InvalidTemplate."""
    try:
        return parse_template(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidTemplate(f"{path} cannot be read: {error.strerror}.") from error
    except InvalidTemplate as error:
        raise InvalidTemplate(f"{path}: {error}") from error


def parse_template(text: str) -> Template:
    """Read the text of a template. Raises InvalidTemplate."""
    return _Reader(_parse(text)).read()


def load_document(path: Path = TEMPLATE) -> dict[str, Any]:
    """Read a template as CloudFormation does, into what JSON can say. Raises InvalidTemplate."""
    try:
        return dict(_mapping(_parse(path.read_text(encoding="utf-8")), str(path)))
    except OSError as error:
        raise InvalidTemplate(f"{path} cannot be read: {error.strerror}.") from error


def _parse(text: str) -> Any:
    try:
        return yaml.load(text, Loader=_CloudFormationLoader)  # noqa: S506  # it is a SafeLoader
    except yaml.YAMLError as error:
        raise InvalidTemplate(f"This is not YAML: {error}") from error


class _CloudFormationLoader(yaml.SafeLoader):
    """Reads `!Ref x` as {"Ref": "x"}, `!Sub x` as {"Fn::Sub": "x"}, and so on, as CloudFormation does."""


def _construct_tag(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)  # noqa: S101  # YAML has no fourth kind
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_CloudFormationLoader.add_multi_constructor("!", _construct_tag)


class _Reader:
    """Walks the document. Every error names the path of keys that led to it."""

    def __init__(self, document: Any) -> None:
        self._resources = _mapping(_get(document, "Resources"), "Resources")
        self._globals = _get(document, "Globals", "Function") or {}
        self._functions: dict[str, Function] = {}
        self._routes: list[Route] = []
        self._queues: list[QueueTrigger] = []
        self._schedules: list[ScheduleTrigger] = []

    def read(self) -> Template:
        functions = dict(self._of_type("AWS::Serverless::Function"))
        for name, properties in functions.items():
            self._functions[name] = self._function(name, properties)
        self._authorizers, self._default_authorizer, binary_media_types = self._api()
        for name, properties in functions.items():
            events = properties.get("Events") or {}
            sliced = self._sliced_bodies(name, events)
            for event_name, event in events.items():
                self._event(name, event, f"{name}.Events.{event_name}", sliced=event_name in sliced)
        return Template(
            functions=self._functions,
            routes=tuple(self._routes),
            authorizer=self._authorizers.get(self._default_authorizer or ""),
            binary_media_types=binary_media_types,
            queue_triggers=tuple(self._queues),
            schedule_triggers=tuple(self._schedules),
        )

    def _of_type(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        for name, resource in self._resources.items():
            if _get(resource, "Type") == kind:
                yield name, _mapping(_get(resource, "Properties"), f"{name}.Properties")

    def _function(self, name: str, properties: Mapping[str, Any]) -> Function:
        def value(key: str, kind: type, default: Any = None) -> Any:
            found = properties.get(key, self._globals.get(key, default))
            if not isinstance(found, kind):
                raise InvalidTemplate(f"{name}.{key} must be given as {kind.__name__}, not {found!r}.")
            return found

        # The defaults are SAM's and Lambda's.
        return Function(name, value("Handler", str), value("Timeout", int, 3), value("MemorySize", int, 128))

    def _api(self) -> tuple[Mapping[str, str], str | None, tuple[str, ...]]:
        """Return the functions of the authorizers by authorizer's name, the default's name, and the binary types."""
        apis = list(self._of_type("AWS::Serverless::Api"))
        if not apis:
            return {}, None, ()
        if len(apis) > 1:
            raise InvalidTemplate("There must be one AWS::Serverless::Api, not several.")
        name, properties = apis[0]
        authorizers = {}
        for authorizer, settings in (_get(properties, "Auth", "Authorizers") or {}).items():
            target = _get(settings, "FunctionArn", "Fn::GetAtt")
            if not isinstance(target, list) or target[0] not in self._functions:
                raise InvalidTemplate(
                    f"{name}.Auth.Authorizers.{authorizer}.FunctionArn must be !GetAtt <function>.Arn."
                )
            authorizers[authorizer] = target[0]
        default = _get(properties, "Auth", "DefaultAuthorizer")
        if default is not None and default not in authorizers:
            raise InvalidTemplate(f"{name}.Auth.DefaultAuthorizer names {default!r}, which is no authorizer.")
        # SAM writes ~1 for the slash, as JSON pointers do.
        types = tuple(str(kind).replace("~1", "/") for kind in properties.get("BinaryMediaTypes") or ())
        return authorizers, default, types

    def _sliced_bodies(self, name: str, events: Mapping[str, Any]) -> list[str]:
        """Return the names of the events of a function whose bodies our own gateway hands on in slices."""
        names = _get(self._resources[name], "Metadata", "SlicedBodies")
        names = [] if names is None else names
        if not isinstance(names, list):
            raise InvalidTemplate(f"{name}.Metadata.SlicedBodies must be a list of names of events, not {names!r}.")
        for event in names:
            if not isinstance(event, str) or _get(events, event, "Type") != "Api":
                raise InvalidTemplate(f"{name}.Metadata.SlicedBodies names {event!r}, which is no event of type Api.")
        return names

    def _event(self, function: str, event: Any, place: str, *, sliced: bool) -> None:
        kind = _get(event, "Type")
        properties = _mapping(_get(event, "Properties"), f"{place}.Properties")
        if kind == "Api":
            self._routes.append(self._route(function, properties, place, sliced=sliced))
        elif kind == "MQ":
            self._queues.append(self._queue(function, properties, place))
        elif kind == "Schedule":
            self._schedules.append(self._schedule(function, properties, place))
        else:
            raise InvalidTemplate(f"{place}.Type must be Api, MQ or Schedule, not {kind!r}.")

    def _route(self, function: str, properties: Mapping[str, Any], place: str, *, sliced: bool) -> Route:
        method, path = str(properties.get("Method")).upper(), properties.get("Path")
        if method not in _METHODS:
            raise InvalidTemplate(f"{place}.Method must be an HTTP method, not {properties.get('Method')!r}.")
        if not isinstance(path, str) or not path.startswith("/") or "+}" in path:
            raise InvalidTemplate(f"{place}.Path must begin with / and name each segment, not {path!r}.")
        for route in self._routes:
            if (route.method, route.path) == (method, path):
                raise InvalidTemplate(f"{place}: {method} {path} already belongs to {route.function}.")
        authorizer = _get(properties, "Auth", "Authorizer") or self._default_authorizer
        if authorizer not in {None, "NONE", self._default_authorizer}:
            raise InvalidTemplate(f"{place}.Auth.Authorizer must be NONE or the API's default, not {authorizer!r}.")
        return Route(method, path, function, guarded=authorizer not in {None, "NONE"}, sliced=sliced)

    def _queue(self, function: str, properties: Mapping[str, Any], place: str) -> QueueTrigger:
        queues, batch_size = properties.get("Queues"), properties.get("BatchSize", 100)
        # Lambda, too, takes exactly one.
        if not isinstance(queues, list) or len(queues) != 1 or not isinstance(queues[0], str):
            raise InvalidTemplate(f"{place}.Queues must be a list of one name, not {queues!r}.")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise InvalidTemplate(f"{place}.BatchSize must be a number from 1, not {batch_size!r}.")
        return QueueTrigger(function, queues[0], batch_size)

    def _schedule(self, function: str, properties: Mapping[str, Any], place: str) -> ScheduleTrigger:
        expression = properties.get("Schedule")
        rate = _RATE.fullmatch(str(expression))
        if not rate or int(rate[1]) < 1:
            raise InvalidTemplate(f"{place}.Schedule must be like rate(5 minutes), not {expression!r}.")
        return ScheduleTrigger(function, int(rate[1]) * _SECONDS[rate[2]])


def _get(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _mapping(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidTemplate(f"{place} must be a mapping, not {value!r}.")
    return value
