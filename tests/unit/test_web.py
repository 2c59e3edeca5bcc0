"""Building the page: when it is done, what is left when it fails, and what a person is told."""

import fcntl
import json
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from functions.page.site import load_site
from infra import web
from infra.web import CannotBuild, Node, Web

ROOT = Path(__file__).parents[2]

# Stands in for node. `npm ci` makes node_modules, and `--run build` a page that says how often it was built.
NODE = """#!/bin/sh
set -e
echo "$*" >>"$CALLS"
case "$*" in
*" ci "*) eval "$NPM"; rm -rf node_modules; mkdir node_modules ;;
"--run build -- --outDir="*)
    eval "$VITE"
    site=${4#--outDir=}
    mkdir -p "$site"
    grep -c -- "--run build" "$CALLS" >"$site/index.html" ;;
esac
"""


class Checkout:
    """A copy of the sources, with a node that only pretends."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.calls = root / "calls"
        self.calls.touch()
        self.said: list[str] = []
        node = root / "node"
        node.write_text(NODE)
        node.chmod(0o755)
        npm = root / "npm-cli.js"
        npm.touch()
        for folder in ("web/src", "docs/api", "functions/page"):
            (root / folder).mkdir(parents=True)
        for name in ("web/package.json", "web/package-lock.json", "web/src/App.svelte", "docs/api/openapi.yaml"):
            (root / name).write_text(name)
        self.web = Web(root, Node(node, npm), self.said.append)
        self._monkeypatch = monkeypatch
        self.set(CALLS=str(self.calls), NPM=":", VITE=":")

    def set(self, **variables: str) -> None:
        for name, value in variables.items():
            self._monkeypatch.setenv(name, value)

    def write(self, name: str) -> None:
        (self.root / name).write_text("something else")

    @property
    def done(self) -> list[str]:
        """What was called, in a word each."""
        return ["install" if " ci " in line else "build" for line in self.calls.read_text().splitlines()]

    @property
    def page(self) -> str:
        return (self.web.site / "index.html").read_text().strip()

    @property
    def scraps(self) -> list[Path]:
        """What a build has left behind where it works."""
        return list((self.root / "build").iterdir())


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    return Checkout(tmp_path, monkeypatch)


def test_the_page_is_built_once(checkout: Checkout):
    """Every `make run` asks for it."""
    checkout.web.build()
    checkout.said.clear()

    checkout.web.build()

    assert checkout.done == ["install", "build"]
    assert checkout.said == []
    assert checkout.scraps == []


@pytest.mark.parametrize("name", ["web/src/App.svelte", "web/src/New.svelte", "docs/api/openapi.yaml"])
def test_a_source_that_changed_makes_a_new_page_with_the_same_packages(checkout: Checkout, name: str):
    """Packages take a minute, a build some seconds."""
    checkout.web.build()

    checkout.write(name)
    checkout.web.build()

    assert checkout.done == ["install", "build", "build"]
    assert checkout.page == "2"


def test_a_source_that_is_gone_makes_a_new_page(checkout: Checkout):
    """Going back to an older version of the code takes files away, too."""
    checkout.web.build()

    (checkout.root / "web/src/App.svelte").unlink()
    checkout.web.build()

    assert checkout.done == ["install", "build", "build"]


def test_other_packages_are_installed_before_the_page_is_built(checkout: Checkout):
    """A page that is built with the old ones is not the one that was tested."""
    checkout.web.build()

    checkout.write("web/package-lock.json")
    checkout.web.build()

    assert checkout.done == ["install", "build", "install", "build"]


@pytest.mark.parametrize("name", ["web/node_modules/vite/x.js", "web/src/api/schema.d.ts"])
def test_what_was_made_from_the_sources_is_none(checkout: Checkout, name: str):
    """Else each build would be the reason for the next."""
    checkout.web.build()

    (checkout.root / name).parent.mkdir(parents=True, exist_ok=True)
    checkout.write(name)
    checkout.web.build()

    assert checkout.done == ["install", "build"]


def test_packages_are_installed_as_they_are_locked_and_run_nothing(checkout: Checkout):
    """A package that was taken over runs its scripts at the moment it is installed, on the machine of who builds."""
    checkout.web.build()

    call = checkout.calls.read_text().splitlines()[0]
    assert re.search(r" ci --ignore-scripts --no-audit --no-fund ", call)


def test_a_registry_that_cannot_be_reached_is_said_with_what_to_do(checkout: Checkout):
    """Npm writes codes of the system; a person behind a proxy needs the name of a setting."""
    checkout.set(NPM='echo "npm error code ENOTFOUND"; exit 1')

    with pytest.raises(CannotBuild) as caught:
        checkout.web.build()

    assert "npm error code ENOTFOUND\nnpm cannot reach its registry." in str(caught.value)
    assert "NPM_CONFIG_REGISTRY" in str(caught.value)
    assert checkout.done == ["install"]


def test_a_package_that_is_not_the_locked_one_is_not_blamed_on_the_network(checkout: Checkout):
    """Somebody has changed it, and nothing of it may run."""
    checkout.set(NPM='echo "npm error code EINTEGRITY"; exit 1')

    with pytest.raises(CannotBuild) as caught:
        checkout.web.build()

    assert "EINTEGRITY" in str(caught.value)
    assert "registry" not in str(caught.value)


def test_an_installation_that_failed_is_done_again(checkout: Checkout):
    """Half of the packages are no packages."""
    checkout.set(NPM="exit 1")
    with pytest.raises(CannotBuild):
        checkout.web.build()

    checkout.set(NPM=":")
    checkout.web.build()

    assert checkout.done == ["install", "install", "build"]


def test_a_build_that_fails_leaves_the_old_page(checkout: Checkout):
    """What runs goes on. What Vite says is what the author needs to see."""
    checkout.web.build()
    checkout.write("web/src/App.svelte")
    checkout.set(VITE='echo "App.svelte:3:7 Unexpected token"; exit 1')

    with pytest.raises(CannotBuild, match=r"App\.svelte:3:7 Unexpected token"):
        checkout.web.build()

    assert checkout.page == "1"
    assert checkout.scraps == []


def test_of_two_builds_at_once_one_waits_and_finds_nothing_to_do(checkout: Checkout):
    """`make run` in one terminal, `make test` in the other."""
    (checkout.root / ".local").mkdir()
    with (checkout.root / ".local/web.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        others = [threading.Thread(target=checkout.web.build) for _ in range(2)]
        for other in others:
            other.start()
        while len(checkout.said) < 2:
            time.sleep(0.01)
        assert checkout.done == []
    for other in others:
        other.join()

    assert checkout.done == ["install", "build"]
    assert checkout.said[0] == "Waiting for another build of the page to finish"


@pytest.mark.parametrize("by", [signal.SIGINT, signal.SIGTERM])
def test_a_build_that_is_interrupted_ends_all_that_it_started_and_leaves_nothing(
    checkout: Checkout, by: signal.Signals
):
    """Ctrl-C in a terminal, or `make run` that is ended while it sets up."""
    pid = checkout.root / "pid"
    checkout.set(VITE=f"sleep 60 & echo $! >{pid}.part; mv {pid}.part {pid}; wait")
    code = (
        "import sys; from pathlib import Path; from infra import web;"
        f"root = Path({str(checkout.root)!r});"
        "web._ROOT = root; web.Node.of_environment = lambda: web.Node(root / 'node', root / 'npm-cli.js');"
        "sys.exit(web.main([]))"
    )
    build = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE)
    while not pid.exists():
        assert build.poll() is None
        time.sleep(0.01)

    build.send_signal(by)
    _, said = build.communicate(timeout=30)

    assert build.returncode == 130
    assert b"Traceback" not in said
    assert not is_running(int(pid.read_text()))
    assert not checkout.web.site.exists()
    assert checkout.scraps == []


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_an_environment_without_node_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """So it is where only what a function needs is installed."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    assert web.main([]) == 1
    assert capsys.readouterr().err == "Node is missing from this Python environment. Run `make setup`.\n"


# The real one


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as git has them, in another place, with packages of their own."""
    web.build(print)
    root = tmp_path_factory.mktemp("checkout")
    shutil.copytree(ROOT / "web", root / "web", ignore=shutil.ignore_patterns("node_modules", "schema.d.ts"))
    (root / "docs/api").mkdir(parents=True)
    shutil.copy(ROOT / "docs/api/openapi.yaml", root / "docs/api")
    (root / "functions/page").mkdir(parents=True)
    return root


def test_the_same_sources_make_the_same_page(copy: Path):
    """So the zip of the function is the same everywhere, and browsers keep what they have."""
    Web(copy, Node.of_environment(), print).build()

    assert load_site(copy / "functions/page/site") == load_site(ROOT / "functions/page/site")


def test_the_document_needs_nothing_that_the_policy_forbids():
    """Vite would write small scripts and styles into it, or addresses that begin with a slash, if it were let."""
    site = ROOT / "functions/page/site"
    web.build(print)
    document = (site / "index.html").read_text()
    styles = "".join(path.read_text() for path in site.rglob("*.css"))

    assert not re.search(r"<style|style=|<script(?![^>]*\bsrc=)|\son\w+=", document)
    assert not re.search(r'(?:src|href)="(?!\./)', document)
    assert not re.search(r"url\((?!\.?\.?/|[\w-]+\.)", re.sub(r"url\([\"']?data:image", "url(./", styles))


def test_what_compresses_well_is_there_in_its_compressed_forms():
    """They are made once, and not for each visitor."""
    web.build(print)

    for name, file in load_site(ROOT / "functions/page/site").items():
        sizes = {coding: len(form.body) for coding, form in file.representations.items()}
        if name.endswith(".js") and sizes["identity"] > 1024:
            assert sizes["br"] < sizes["gzip"] < sizes["identity"], name


def test_a_first_visit_and_a_first_file_load_little():
    """A phone on a slow network waits for every kilobyte. The sizes are those of gzip, which every browser takes."""
    web.build(print)
    chunks = json.loads((ROOT / "functions/page/site/.manifest.json").read_text())
    # These two are not imported, but loaded at once: the login, and the larger of the languages.
    at_once = _files(chunks, "index.html", "src/account/LogIn.svelte", "src/lang/de.ts") | {"index.html"}
    of_extractor = _files(chunks, "src/sound/index.ts") - at_once

    assert _gzipped(at_once) <= 60_000
    assert _gzipped(of_extractor) <= 80_000


def _files(chunks: Mapping[str, Any], *names: str) -> set[str]:
    """The files of these chunks, and of all that they import."""
    found: set[str] = set()
    for name in names:
        chunk = chunks[name]
        found |= {chunk["file"], *chunk.get("css", ())} | _files(chunks, *chunk.get("imports", ()))
    return found


def _gzipped(names: Iterable[str]) -> int:
    site = load_site(ROOT / "functions/page/site")
    forms = [site[name].representations for name in names]
    return sum(len((form.get("gzip") or form["identity"]).body) for form in forms)


def test_the_modules_of_the_page_pass_their_own_tests():
    """They are beside the modules, in web/src, and Vitest runs them."""
    assert web.main(["test"]) == 0


def test_the_lock_file_names_no_place_and_a_hash_for_each_package():
    """Where packages come from is for each machine to say; what they are is not."""
    lock = (ROOT / "web/package-lock.json").read_text()

    assert '"resolved"' not in lock
    assert lock.count('"integrity": "sha512-') == lock.count('"node_modules/')
    for package in re.findall(
        r'"(?:dependencies|devDependencies)": \{([^}]*)\}', (ROOT / "web/package.json").read_text()
    ):
        assert re.findall(r'": "([^"]*)"', package) == re.findall(r'": "(\d+\.\d+\.\d+)"', package)
