"""What compose.yaml and infra/kubernetes have to say, from the code. A process is named as its image is."""

import importlib
import inspect
import json
import re
import shlex
from pathlib import Path
from typing import NamedTuple

import msgspec

import infra.gateway.__main__
import infra.host.__main__
import infra.prepare
import infra.triggers.__main__
from functions.shared import logs
from functions.shared.http import HttpSettings
from infra.metrics import ServerSettings
from infra.template import QueueTrigger, ScheduleTrigger, load_template

ROOT = Path(__file__).parents[1]

_TEMPLATE = load_template()
_CALLED: list[QueueTrigger | ScheduleTrigger] = [*_TEMPLATE.queue_triggers, *_TEMPLATE.schedule_triggers]
_PACKAGES = {name: function.package for name, function in _TEMPLATE.functions.items()}

# The functions by what calls them. The gateway calls health in its own process, the others at their hosts.
TRIGGERED = {_PACKAGES[trigger.function] for trigger in _CALLED}
HOSTED = set(_PACKAGES.values()) - TRIGGERED - {"health"}
OURS = sorted({"gateway", "setup", *HOSTED, *TRIGGERED})


class Image(NamedTuple):
    """What an image says of its containers. Of an instruction that is repeated, the last counts."""

    env: dict[str, str]
    instructions: dict[str, str]

    @property
    def command(self) -> list[str]:
        """What they run."""
        found: list[str] = json.loads(self.instructions["CMD"])
        return found

    @property
    def health_check(self) -> list[str] | None:
        """What is run to see whether they are well."""
        command = self.instructions.get("HEALTHCHECK", "").partition("CMD ")[2]
        return json.loads(command) if command else None


def image_of(target: str) -> Image:
    """Return the image of a target of our Dockerfile."""
    return _IMAGES[target]


def _read_images() -> dict[str, Image]:
    images: dict[str, Image] = {}
    image = Image({}, {})
    text = re.sub(r"\\\n\s*", "", (ROOT / "infra/docker/Dockerfile").read_text())
    for line in filter(None, text.splitlines()):
        instruction, _, argument = line.partition(" ")
        if instruction == "FROM":
            base, _, name = argument.partition(" AS ")
            inherited = images.get(base, Image({}, {}))
            images[name] = image = Image({**inherited.env}, {**inherited.instructions})
        elif instruction == "ENV":
            image.env.update(_pair(each) for each in shlex.split(argument))
        else:
            image.instructions[instruction] = argument
    return images


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


_IMAGES = _read_images()


def endpoints() -> dict[str, str]:
    """Return where the gateway calls each function that has a host, by logical id."""
    port = infra.host.__main__.Settings().port
    return {name: f"http://{package}:{port}" for name, package in _PACKAGES.items() if package in HOSTED}


def settings_of(process: str) -> list[type[msgspec.Struct]]:
    """Return every Struct of settings that a process reads, those of its functions included."""
    own: type[msgspec.Struct]
    if process == "setup":
        own, packages = infra.prepare.Settings, set(_PACKAGES.values())
    elif process == "gateway":
        own, packages = infra.gateway.__main__.Settings, {"health"}
    elif process in HOSTED:
        own, packages = infra.host.__main__.Settings, {process}
    else:
        own, packages = infra.triggers.__main__.Settings, {process}
    functions = [function for function in _TEMPLATE.functions.values() if function.package in packages]
    modules = [importlib.import_module(function.handler.rpartition(".")[0]) for function in functions]
    metrics = [] if process == "setup" else [ServerSettings]
    return [own, *(module.Settings for module in modules), *metrics, *([HttpSettings] if process in HOSTED else [])]


def variables_of(process: str) -> set[str]:
    """Return the names of all variables that a process reads."""
    read = {field.name.upper() for struct in settings_of(process) for field in msgspec.structs.fields(struct)}
    return read | set(re.findall(r'environ\.get\("(\w+)"', inspect.getsource(logs)))


def checked_of(function: str) -> set[str]:
    """Return the names of the variables of a function that setup can check: those of its own, but for mail."""
    own = {field.name.upper() for struct in settings_of(function)[1:] for field in msgspec.structs.fields(struct)}
    http = {field.upper() for each in (HttpSettings, ServerSettings) for field in each.__struct_fields__}
    mail = {"MAIL_TRANSPORT", "MAIL_FROM", "SMTP_URL", "OUTBOX_DIR"}
    return (own | {"LOG_LEVEL"}) - http - mail
