"""What an operator does, with the commands of docs/operating.md, word for word.

One stack works, is backed up and lost; a second one begins with what the backup brings back, and with new keys.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import jwt
import psycopg
import pytest

from infra.local.stack import RunningStack, running_stack
from tests.media import Media
from video2mp3 import Client, ClientError, Conversion, State

ROOT = Path(__file__).parents[2]
OPERATING = ROOT / "docs/operating.md"
EMAIL, PASSWORD = "ann@example.com", "a long sentence"
# Sweep looks right after the start, and what has waited for a second counts as forgotten.
OURS = {"POSTGRES_URL": "", "MONGODB_URL": "", "AMQP_URL": "", "REANNOUNCE_S": "1", "LEASE_S": "1"}


@dataclass
class Before:
    """What there was before all was lost."""

    converted: Conversion
    mp3: bytes
    link: str
    queued: Conversion
    access_token: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an operator stands: the state folder is in it, under its usual name."""
    return tmp_path_factory.mktemp("operating")


@pytest.fixture(scope="module")
def before(media: Media, folder: Path) -> Before:
    """A stack that was used, backed up, lost, and restored."""
    with running_stack(folder / ".local", {**os.environ, **OURS}) as stack, Client(stack.url) as client:
        client.register(EMAIL, PASSWORD)
        client.login(EMAIL, PASSWORD)
        converted = client.wait(client.upload(media.video("tagged")).id, timeout_s=60)
        mp3 = saved(client, converted, folder)
        link = client.link(converted.id, ttl_s=600).url.removeprefix(stack.url)
        # What is uploaded now stays in the queue.
        os.kill(stack.pids["triggers"], signal.SIGSTOP)
        queued = client.upload(media.video("mkv"))
        assert client._tokens is not None
        before = Before(converted, mp3, link, queued, client._tokens.access)
        os.kill(stack.pids["triggers"], signal.SIGKILL)
    commands(folder, "tar -c")
    shutil.rmtree(folder / ".local/postgresql/data")
    commands(folder, "tar -x")
    return before


@pytest.fixture(scope="module")
def stack(folder: Path, before: Before) -> Iterator[RunningStack]:
    """The restored stack, with new keys before the old ones."""
    old = json.loads((folder / ".local/secrets.json").read_text())
    keys = {"JWT_KEYS": f"new={'n' * 32},{old['JWT_KEYS']}", "LINK_KEYS": f"{'n' * 32},{old['LINK_KEYS']}"}
    with running_stack(folder / ".local", {**os.environ, **OURS, **keys}) as running:
        yield running


@pytest.fixture
def client(stack: RunningStack) -> Iterator[Client]:
    with logged_in(stack) as client:
        yield client


@contextlib.contextmanager
def logged_in(stack: RunningStack) -> Iterator[Client]:
    with Client(stack.url) as client:
        client.login(EMAIL, PASSWORD)
        yield client


def saved(client: Client, conversion: Conversion, folder: Path) -> bytes:
    client.save(conversion.id, folder / "saved.mp3")
    return (folder / "saved.mp3").read_bytes()


def commands(folder: Path, word: str) -> str:
    """Run the one block of commands with this word in it, and return what it printed."""
    [block] = [b for b in re.findall(r"```sh\n(.*?)```", OPERATING.read_text(), flags=re.DOTALL) if word in b]
    return run(folder, block.replace(".venv/bin/python", sys.executable).replace("make run", ""))


def run(folder: Path, script: str) -> str:
    environ = {**os.environ, **OURS, "V2M_STATE": str(folder / ".local"), "PYTHONPATH": str(ROOT)}
    # What the `make` that runs the tests was told is not for this one.
    for name in ("MAKEFLAGS", "ARGS"):
        environ.pop(name, None)
    done = subprocess.run(
        ["bash", "-euc", script],
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def test_a_restored_backup_has_the_accounts_and_the_mp3s(client: Client, before: Before, tmp_path: Path):
    """A backup that was never restored is a hope."""
    assert saved(client, before.converted, tmp_path) == before.mp3


def test_what_was_queued_is_converted_though_its_message_is_lost(client: Client, before: Before, folder: Path):
    """That is why RabbitMQ is not in the backup: the conversions say what has to be done."""
    assert "rabbitmq" not in run(folder, "tar -tzf video2mp3.tar.gz | grep -v '/logs/' | cut -d/ -f2 | sort -u")

    assert client.wait(before.queued.id, timeout_s=60).state is State.COMPLETED


def test_tokens_and_links_of_old_keys_work_beside_new_keys(stack: RunningStack, client: Client, before: Before):
    """A rotation logs nobody out and breaks no link, and what is signed now is signed with the new key."""
    me = httpx.get(f"{stack.url}/v1/auth/me", headers={"Authorization": f"Bearer {before.access_token}"})

    assert me.json()["email"] == EMAIL
    assert httpx.get(stack.url + before.link).content == before.mp3
    assert jwt.get_unverified_header(before.access_token)["kid"] == "local"
    assert client._tokens is not None
    assert jwt.get_unverified_header(client._tokens.access)["kid"] == "new"


def test_accounts_can_be_dumped_and_restored_while_the_stack_runs(
    stack: RunningStack, client: Client, before: Before, folder: Path
):
    """Whoever was logged in has to log in again, lest an ended session comes back. The MP3s are theirs."""
    commands(folder, "pg_dump --format")
    with psycopg.connect(stack.urls.postgres) as connection:
        connection.execute("DELETE FROM users")
    with pytest.raises(ClientError), logged_in(stack):
        pass

    commands(folder, "pg_restore --clean")

    with pytest.raises(ClientError):
        client.me()
    with logged_in(stack) as again:
        assert saved(again, before.converted, folder) == before.mp3


def test_make_lists_the_dead_letters_of_the_stack_that_runs(stack: RunningStack, folder: Path):
    """It finds the broker by itself; its port is another one at each start."""
    said = run(folder, f"make --no-print-directory -C {ROOT} dead-letters")

    assert said.splitlines() == [
        "video_conversion_queue: no dead letters",
        "conversion_notification_queue: no dead letters",
    ]
