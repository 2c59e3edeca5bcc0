"""What the documents say of commands, settings and files, held against what there is."""

import ast
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.local.__main__ import main as local_main
from infra.rabbitmq.__main__ import _parser as rabbitmq_parser
from infra.template import load_document

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPERATING = (ROOT / "docs/operating.md").read_text()
CODE = [path for folder in ("functions", "infra") for path in sorted((ROOT / folder).rglob("*.py"))]
# These are not ours to explain: the system, make and the clients of AWS have them.
OTHERS = {"PATH", "HOME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def settings() -> dict[str, str]:
    """Return every variable that the code reads from its environment, and where."""
    found: dict[str, str] = {}
    for path in CODE:
        text = path.read_text()
        where = str(path.relative_to(ROOT))
        found |= dict.fromkeys(re.findall(r'environ(?:\.get\(|\[)"([A-Z][A-Z0-9_]+)"', text), where)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef) and (
                node.name.endswith("Settings") or where.endswith("gateway/limits.py")
            ):
                fields = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
                found |= {field.id.upper(): where for field in fields if isinstance(field, ast.Name)}
    return found


def targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def in_code(text: str) -> str:
    """Return only what a document shows as code."""
    return "\n".join(re.findall(r"```.*?```|`[^`]+`", text, re.DOTALL))


def test_every_setting_is_explained():
    """Who runs this should not have to read the code to learn what can be set."""
    explained = (ROOT / "README.md").read_text() + OPERATING + (ROOT / ".env.example").read_text()
    found = settings()

    assert {"POSTGRES_URL", "FUNCTION_ENDPOINTS", "MAX_CALLS", "LEASE_S", "V2M_STATE", "LOG_LEVEL"} <= found.keys()
    missing = {
        name: where for name, where in found.items() if name not in OTHERS and not re.search(rf"\b{name}\b", explained)
    }
    assert missing == {}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(document: Path):
    """A command that was renamed lives on in documents."""
    named = set(
        re.findall(r"(?:^|`|; |&& )make(?: --\S+)* ([a-z][a-z0-9-]*)", in_code(document.read_text()), re.MULTILINE)
    )

    assert named <= targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_that_is_named_as_a_command_is_one(document: Path):
    """Likewise."""
    for module in set(
        re.findall(r"python -m ((?:infra|functions|benchmarks|video2mp3)[\w.]*\w)", document.read_text())
    ):
        spec = importlib.util.find_spec(module)
        assert spec is not None, module
        if spec.submodule_search_locations is not None:
            assert importlib.util.find_spec(f"{module}.__main__") is not None, module


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(document: Path):
    """Into this repository, that is; what others have is theirs."""
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (document.parent / file).resolve() if file else document
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.+)$", target.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}, link


def test_every_alarm_is_explained():
    """At night nobody wants to find out what an alarm is about."""
    alarms = {
        name for name, resource in load_document()["Resources"].items() if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    [table] = re.findall(r"^\| alarm \|.*?\n\n", OPERATING, re.MULTILINE | re.DOTALL)
    explained = {name for row in table.strip().splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}

    assert alarms
    assert explained == alarms


def test_the_ways_to_look_at_dead_letters_are_understood():
    """Whoever needs them has no time for typing errors of ours."""
    [table] = re.findall(r'^\| `make dead-letters ARGS="…"`.*?\n\n', OPERATING, re.MULTILINE | re.DOTALL)
    rows = [row.split("|")[1].strip(" `") for row in table.strip().splitlines()[2:]]
    inline = re.findall(r"python -m infra\.rabbitmq (dead-letters .+)", OPERATING)

    assert len(rows) >= 5
    assert inline
    for line in [f"dead-letters {row}" for row in rows] + inline:
        given = rabbitmq_parser().parse_args(shlex.split(line))
        assert given.command == "dead-letters"


def test_services_that_are_stopped_for_a_backup_exist():
    """A service that was left out goes on writing."""
    compose: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = compose["services"]
    for line in re.findall(r"^docker compose (?:stop|start) (.+)$", OPERATING, re.MULTILINE):
        named = set(line.split())
        assert named <= services.keys()
        writers = {name for name in services if "MONGODB_URL" in (services[name].get("environment") or {})}
        assert writers - {"setup"} <= named
    for name, program in re.findall(r"^docker compose exec -T (\w+) (\w+)", OPERATING, re.MULTILINE):
        assert name in services, program


def test_exec_is_a_command_of_the_local_stack(capfd: pytest.CaptureFixture[str]):
    """It is how the commands for backups find the servers."""
    with pytest.raises(SystemExit) as ended:
        local_main(["exec", "--help"])

    assert ended.value.code == 0
    assert "where the servers" in capfd.readouterr().out
