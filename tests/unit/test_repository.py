"""What the files of the project must and must not say, and what runs before a change goes in."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.imports import reached

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
# For what runs elsewhere there is one for each part.
PACKED = sorted(f"{path.parent.name}/{path.stem}" for path in (ROOT / "requirements").glob("*/*.txt"))
FUNCTIONS = [name for name in PACKED if name.startswith("functions/")]
LOCKS = ("run", "dev", *PACKED)

# In two parts each, so that this file does not name them.
REGISTRIES = [
    "pypi" + ".org",
    "files.python" + "hosted.org",
    "registry.npm" + "js.org",
    "registry.yarn" + "pkg.com",
    "deb.debian" + ".org",
    "archive.ubuntu" + ".com",
    "proxy.golang" + ".org",
    "static.crates" + ".io",
]
# Only where they begin a path: example.org/home/ is none.
OWN_PLACES = re.compile(r"(?<![\w.~$}/-])/(?:work|root|home|Users)/")


def files() -> list[Path]:
    """Return the files of the project: those that git has, or all if this is no checkout."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        ).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        return list(_walk(ROOT, {".git", *(ROOT / ".gitignore").read_text().replace("/\n", "\n").split()}))
    return [path for name in listed if name and (path := ROOT / name).is_file()]


def _walk(folder: Path, leave_out: set[str]) -> Iterator[Path]:
    for path in folder.iterdir():
        if path.name not in leave_out:
            if path.is_dir():
                yield from _walk(path, leave_out)
            else:
                yield path


def texts() -> Iterator[tuple[str, str]]:
    """Yield the name and the text of every file that is text."""
    for path in files():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def packages(text: str) -> dict[str, str]:
    """Return the versions in a lock file, by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def lock(name: str) -> str:
    return (ROOT / f"requirements/{name}.txt").read_text()


# What the files say


def test_no_file_names_a_package_registry():
    """Where packages come from is for each machine to say: many have a mirror, and some have nothing else."""
    found = {name: host for name, text in texts() for host in REGISTRIES if host in text}

    assert found == {}


def test_no_file_names_a_place_on_somebodys_machine():
    """It works there and nowhere else."""
    found = {name: match[0] for name, text in texts() if (match := OWN_PLACES.search(text))}

    assert found == {}


def test_these_checks_see_the_files():
    """If they saw none, they would pass."""
    names = {name for name, _ in texts()}

    assert {"pyproject.toml", "tests/media.py", "functions/shared/http.py"} <= names
    assert not {name for name in names if name.startswith((".venv/", ".local/", ".git/"))}
    assert OWN_PLACES.search("see " + "/ro" + "ot/x")
    assert not OWN_PLACES.search("https://example.org/home/x and ${HOME}/home/x")


def test_a_checkout_and_a_copy_without_git_have_the_same_files(monkeypatch: pytest.MonkeyPatch):
    """A source archive must pass the same checks."""
    with_git = {path for path in files() if path.suffix == ".py"}
    monkeypatch.setenv("PATH", "")

    assert with_git <= set(files())


def test_secrets_are_left_out_of_git():
    """The file .env holds keys, and `git add .` is quickly typed."""
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


# Dependencies


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_and_hashed(name: str):
    """A package that was changed on its way here must not be installed."""
    entries = re.split(r"\n(?! )", lock(name).replace("\\\n", "").strip())

    # pip would judge a condition by the Python that packs.
    condition = "" if name in PACKED else "( ; [^-]+?)?"
    assert entries
    for entry in entries:
        assert re.match(rf"[a-z0-9-]+==\S+{condition}( +--hash=sha256:[0-9a-f]{{64}})+ *$", entry), entry


def test_what_is_run_what_is_shipped_and_what_is_tested_have_the_same_versions():
    """What was tested is what runs."""
    tested = packages(lock("dev"))

    for name in LOCKS:
        locked = packages(lock(name))
        assert locked.items() <= tested.items()


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_holds_all_that_its_group_asks_for(name: str):
    """A dependency that was added and not locked would be missing on every other machine."""
    locked = packages(lock(name))

    assert set(asked_for(name.rpartition("/")[2])) <= set(locked)


def asked_for(group: str) -> Iterator[str]:
    """Yield the packages that a dependency group of pyproject.toml names, those of the groups in it too."""
    for entry in PYPROJECT["dependency-groups"][group]:
        if isinstance(entry, dict):
            yield from asked_for(entry["include-group"])
        else:
            match = re.match(r"[\w.-]+", entry)
            assert match
            yield match[0].lower()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_asks_for_what_it_imports_and_no_more(name: str):
    """What is missing fails on Lambda; what is too much is loaded there at each cold start."""
    folder = ROOT / name
    _, imported = reached(f"{name.replace('/', '.')}.{path.stem}" for path in folder.glob("*.py"))
    asked = set(asked_for(folder.name))

    # boto3 brings botocore, and pymongo dnspython. Every function can be given secrets, and logs.
    assert imported - {"botocore", "dnspython"} <= asked
    assert asked - imported <= {"aws-lambda-powertools", "boto3"}


def test_make_lock_makes_every_lock_file():
    """One that it forgot would keep versions that nobody tests."""
    script = (ROOT / "infra/local/lock.sh").read_text()
    compiled = dict(re.findall(r'for group in ([a-z ]+); do\n    compile "(\w+)/\$group"', script))

    assert sorted(f"{folder}/{group}" for groups, folder in compiled.items() for group in groups.split()) == PACKED


def test_the_packages_of_the_functions_are_those_of_each():
    """A function that is added belongs to both lists."""
    assert set(asked_for("functions")) == {each for name in FUNCTIONS for each in asked_for(Path(name).name)}


@pytest.mark.parametrize("name", PACKED)
def test_what_is_packed_brings_no_server_of_its_own(name: str):
    """The embedded servers are hundreds of megabytes, and under licences of their own."""
    assert set(asked_for("local")).isdisjoint(packages(lock(name)))


# What runs before a change goes in

WORKFLOW: dict[str, Any] = yaml.load((ROOT / ".github/workflows/ci.yml").read_text(), yaml.BaseLoader)
STEPS: list[dict[str, Any]] = [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]


def test_github_runs_the_same_script_as_everybody():
    """What passes in one place passes in the other."""
    assert (ROOT / ".ci/run").is_file()
    assert {"push", "pull_request"} <= set(WORKFLOW["on"])
    for job in WORKFLOW["jobs"].values():
        assert job["steps"][-1] == {"run": "bash .ci/run"}
        assert job["timeout-minutes"] == "90"


def test_github_is_given_no_more_than_it_needs():
    """A test that somebody sends must not be able to write here."""
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert not [name for name, job in WORKFLOW["jobs"].items() if "permissions" in job]
    assert "secrets." not in json.dumps(WORKFLOW)


def test_actions_and_images_do_not_change_by_themselves():
    """A tag can be moved to other code; a commit cannot."""
    used = [step["uses"] for step in STEPS if "uses" in step]

    assert used
    assert all(re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", action) for action in used)
    assert {job["runs-on"] for job in WORKFLOW["jobs"].values()} == {"ubuntu-24.04"}
    assert {job["container"] for job in WORKFLOW["jobs"].values() if "container" in job} == {"debian:12"}


def test_a_commit_is_checked_with_what_make_check_runs():
    """Nobody should learn from CI what a hook could have said."""
    makefile = (ROOT / "Makefile").read_text()
    check = re.search(r"^check:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert check
    commands = [line.strip().removeprefix("@") for line in check[1].splitlines()]

    assert commands
    assert [hook["entry"] for repo in HOOKS for hook in repo["hooks"]] == commands


def test_hooks_download_nothing():
    """They run what is locked, and on a train."""
    assert [repo["repo"] for repo in HOOKS] == ["local"]
    assert {hook["language"] for hook in HOOKS[0]["hooks"]} == {"system"}


def test_pre_commit_understands_its_configuration():
    """It would refuse every commit otherwise."""
    pre_commit = Path(sys.executable).with_name("pre-commit")
    validated = subprocess.run(
        [pre_commit, "validate-config", ROOT / ".pre-commit-config.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (validated.returncode, validated.stdout + validated.stderr) == (0, "")
