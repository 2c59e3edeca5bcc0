"""template.yaml as CloudFormation gets it: one JSON document, with the code in S3."""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from functions.shared.origins import origin_headers

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


def with_origin(document: Document, origin: str) -> Document:
    """Let pages of `origin` read what API Gateway answers by itself. The document is changed, and returned.

    The template says the same by the parameter CorsOrigin. But SAM deploys an API anew only if its text has changed,
    and a stage would go on with the origin that it had at first.
    """
    allowed = origin_headers(origin)
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Api":
            for response in resource["Properties"].get("GatewayResponses", {}).values():
                headers = response["ResponseParameters"]["Headers"]
                for name in [name for name in headers if name.startswith("Access-Control-")]:
                    del headers[name]
                headers |= {name: f"'{value}'" for name, value in allowed.items()}
    return document


def _functions(document: Document) -> Iterator[tuple[str, Document]]:
    for name, resource in document["Resources"].items():
        if resource["Type"] == "AWS::Serverless::Function":
            yield name, resource["Properties"]


def _package(properties: Document) -> str:
    return PurePosixPath(properties["CodeUri"]).stem
