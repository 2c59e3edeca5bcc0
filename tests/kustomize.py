"""Enough of kustomize to read infra/kubernetes, where there is no kubectl. What is not understood is refused.

The one difference: a generated ConfigMap keeps its plain name, without the hash.
"""

import re
from pathlib import Path
from typing import Any

import yaml

Object = dict[str, Any]

_UNDERSTOOD = {"apiVersion", "kind", "namespace", "resources", "images", "configMapGenerator", "patches"}


def render(folder: Path) -> list[Object]:
    """Return what `kubectl kustomize` prints for a folder."""
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(wanted) <= _UNDERSTOOD, f"{folder}: {set(wanted) - _UNDERSTOOD}"
    objects = [made for name in wanted.get("resources", []) for made in _resource(folder / name)]
    for generator in wanted.get("configMapGenerator", []):
        _generate(generator, objects)
    for patch in wanted.get("patches", []):
        _patch(patch, objects, folder)
    for made in objects:
        if "namespace" in wanted and made["kind"] != "Namespace":
            made["metadata"]["namespace"] = wanted["namespace"]
        for container in pod_of(made).get("containers", []):
            for image in wanted.get("images", []):
                _rename(container, **image)
    return objects


def pod_of(made: Object) -> Object:
    """Return the `spec` of an object's pods; of what has none, an empty one."""
    spec: Object = made.get("spec", {}).get("template", {}).get("spec", {})
    return spec


def _resource(path: Path) -> list[Object]:
    return render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))


def _generate(generator: Object, objects: list[Object]) -> None:
    data = dict(literal.split("=", 1) for literal in generator["literals"])
    assert set(generator) <= {"name", "literals", "behavior", "options"}, generator
    if generator.get("behavior") == "merge":
        (merged,) = _chosen({"kind": "ConfigMap", "name": generator["name"]}, objects)
        merged["data"] |= data
    else:
        metadata = {"name": generator["name"], **generator.get("options", {})}
        objects.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _chosen(target: Object, objects: list[Object]) -> list[Object]:
    """Return the objects that a patch is for. Kind and name are regular expressions for the whole."""
    assert set(target) <= {"kind", "name"}, target
    return [
        made
        for made in objects
        if re.fullmatch(target["kind"], made["kind"])
        and re.fullmatch(target.get("name", ".*"), made["metadata"]["name"])
    ]


def _patch(patch: Object, objects: list[Object], folder: Path) -> None:
    assert set(patch) in ({"target", "path"}, {"target", "patch"}), patch
    chosen = _chosen(patch["target"], objects)
    # kustomize says nothing of a patch that is for nobody.
    assert chosen, f"{folder}: {patch['target']} is not there"
    text = patch["patch"] if "patch" in patch else (folder / patch["path"]).read_text()
    for made in chosen:
        # Parsed for each: they would share what is added.
        for change in yaml.safe_load(text):
            _change(made, **change)


def _change(made: Object, op: str, path: str, value: Any) -> None:
    """Make one change of RFC 6902: `add` a key, or `replace` what is there."""
    *parents, last = path.removeprefix("/").split("/")
    place: Any = made
    for parent in parents:
        place = place[int(parent)] if isinstance(place, list) else place[parent]
    assert op in {"add", "replace"}, op
    assert isinstance(place, dict), path
    assert op == "add" or last in place, path
    place[last] = value


def _rename(container: Object, name: str, newTag: str, newName: str | None = None) -> None:  # noqa: N803
    if container["image"] == name:
        container["image"] = f"{newName or name}:{newTag}"
