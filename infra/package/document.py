"""template.yaml as CloudFormation gets it: one JSON document, with the code in S3."""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

Document = dict[str, Any]


def packages_of(document: Document) -> dict[str, list[str]]:
    """Return the logical ids of the functions in each package."""
    packages: dict[str, list[str]] = {}
    for name, properties in _functions(document):
        packages.setdefault(_package(properties), []).append(name)
    return packages


def with_code(document: Document, uri: Callable[[str], str]) -> Document:
    """Let each function have its code where `uri` of its package says. The document is changed, and returned."""
    for _, properties in _functions(document):
        properties["CodeUri"] = uri(_package(properties))
    return document


def with_runtime(document: Document, runtime: str) -> Document:
    """Let all functions run on one runtime. The document is changed, and returned."""
    document["Globals"]["Function"]["Runtime"] = runtime
    return document


def with_plain_slashes(document: Document) -> Document:
    """Write / for the ~1 in binary media types. The document is changed, and returned.

    AWS wants ~1 and means /. Emulators keep it as it stands, and would then mangle every body that is no text.
    """
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Api":
            kinds = resource["Properties"].get("BinaryMediaTypes") or []
            resource["Properties"]["BinaryMediaTypes"] = [kind.replace("~1", "/") for kind in kinds]
    return document


def parameter_names(document: Document) -> dict[str, bool]:
    """Return the parameters, and of each whether it must be given."""
    return {name: "Default" not in parameter for name, parameter in document["Parameters"].items()}


def _functions(document: Document) -> Iterator[tuple[str, Document]]:
    for name, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            yield name, resource["Properties"]


def _package(properties: Document) -> str:
    return PurePosixPath(properties["CodeUri"]).stem
