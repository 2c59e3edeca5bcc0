"""The settings of a stage: stages/<stage>.toml.

Most of them are parameters of template.yaml, written as in the environment: max_upload_bytes is MaxUploadBytes. What
is not said here has the template's default.
"""

import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from infra.package.deploy.failures import CannotDeploy
from infra.package.packages import RUNTIME
from infra.template import TEMPLATE

FOLDER: Final = TEMPLATE.parent / "stages"
_OWN: Final = frozenset({"region", "runtime", "endpoint_url"})
# The secrets are found by their names.
_NOT_SET_HERE: Final = re.compile(r"Stage|\w+SecretArn")


@dataclass(frozen=True)
class Stage:
    """One deployment of the service. `parameters` are those of template.yaml that the file sets.

    With an `endpoint_url` it goes to an emulator there, unless AWS_ENDPOINT_URL names another one. `runtime` is that of
    Lambda, as python3.13.
    """

    name: str
    region: str
    runtime: str
    endpoint_url: str | None
    parameters: Mapping[str, str]

    @property
    def stack(self) -> str:
        """The name of the stack in CloudFormation, and the beginning of its functions' names."""
        return f"video2mp3-{self.name}"

    def function(self, name: str) -> str:
        """Return the name of a function on AWS. `name` is its logical id."""
        return f"{self.stack}-{name}"


def names(folder: Path = FOLDER) -> list[str]:
    """Return the stages that have settings."""
    return sorted(path.stem for path in folder.glob("*.toml"))


def load_stage(name: str, parameters: Mapping[str, Mapping[str, Any]], folder: Path = FOLDER) -> Stage:
    """Read a stage. `parameters` are those of the template. Raises CannotDeploy, which names each wrong setting."""
    if not re.fullmatch("[a-z0-9]{1,15}", name):
        raise CannotDeploy(f"A stage is named with up to 15 small letters and digits, not {name!r}.")
    path = folder / f"{name}.toml"
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise CannotDeploy(
            f"stages/{name}.toml is missing. Copy stages/example.toml to it, and write this stage's settings there."
        ) from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CannotDeploy(f"{path} cannot be read: {error}") from error
    settable = {_setting(key): key for key in parameters if not _NOT_SET_HERE.fullmatch(key)}
    wrong = [f"{key}: there is no such setting." for key in given if key not in settable and key not in _OWN]
    required = {"region"} | {key for key, name in settable.items() if "Default" not in parameters[name]}
    wrong += [f"{key}: is missing." for key in sorted(required - given.keys())]
    values = {}
    for key, value in given.items():
        try:
            if key in settable:
                values[settable[key]] = _parameter(value, parameters[settable[key]])
            elif key in _OWN:
                _text(value, may_be_empty=False)
        except ValueError as error:
            wrong.append(f"{key}: {error}")
    wrong = wrong or list(_contradictions(given))
    if wrong:
        raise CannotDeploy("\n".join(f"stages/{name}.toml: {each}" for each in wrong))
    runtime = given.get("runtime", RUNTIME)
    if runtime == "current":
        runtime = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return Stage(name, given["region"], runtime, given.get("endpoint_url"), values)


def _setting(parameter: str) -> str:
    """MaxUploadBytes is max_upload_bytes, BrokerArn is broker_arn."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", parameter).lower()


def _parameter(value: Any, parameter: Mapping[str, Any]) -> str:
    """Return a setting as CloudFormation gets it. Raises ValueError."""
    kind, allowed = parameter["Type"], parameter.get("AllowedValues")
    if kind == "CommaDelimitedList":
        if not isinstance(value, list) or not all(isinstance(each, str) and each for each in value):
            raise ValueError("must be a list of texts.")
        return ",".join(value)
    if allowed == ["true", "false"]:
        if not isinstance(value, bool):
            raise ValueError("must be true or false.")
        return str(value).lower()
    if kind == "Number":
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError("must be a number.")
        _in_range(value, parameter)
    else:
        _text(value, may_be_empty=parameter.get("Default") == "")
        if "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], value):
            raise ValueError(parameter["ConstraintDescription"])
    if allowed is not None and value not in allowed:
        raise ValueError(f"must be one of {', '.join(map(str, allowed))}.")
    return str(value)


def _in_range(value: int, parameter: Mapping[str, Any]) -> None:
    if value < parameter.get("MinValue", value):
        raise ValueError(f"must be {parameter['MinValue']} or more.")
    if value > parameter.get("MaxValue", value):
        raise ValueError(f"must be {parameter['MaxValue']} or less.")


def _text(value: Any, *, may_be_empty: bool) -> None:
    if not isinstance(value, str) or not (value or may_be_empty):
        raise ValueError("must be a text.")


def _contradictions(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with settings of which each is right by itself. AWS would find it halfway."""
    if bool(given.get("subnet_ids")) != bool(given.get("security_group_ids")):
        yield "subnet_ids, security_group_ids: set both, or none."
    if (region := given["broker_arn"].split(":")[3]) != given["region"]:
        yield f"broker_arn: is in {region}, and Lambda polls brokers of its own region only."
