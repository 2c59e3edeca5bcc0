"""Every part in a process of its own, as compose.yaml and Kubernetes run them, and what happens when one is away."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.local.servers import ServerUrls
from tests import letters
from tests.hosts import HostsStack, running_hosts
from tests.media import ffmpeg, real_clip
from tests.tus import MIB, Tus, new_person, noise, sha256, until
from video2mp3 import State

ME = "/v1/auth/me"
CONVERSIONS = "/v1/conversions"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, servers: ServerUrls) -> Iterator[HostsStack]:
    with running_hosts(tmp_path_factory.mktemp("hosts"), servers, {"LEASE_S": "3"}) as stack:
        yield stack


@pytest.fixture(scope="module")
def tus(hosts: HostsStack) -> Iterator[Tus]:
    tus = new_person(hosts.url)
    yield tus
    tus.person.close()


@pytest.fixture
def whole(hosts: HostsStack) -> Iterator[None]:
    """A test may stop processes; the next one finds them all."""
    yield
    hosts.start(*(name for name, process in hosts.processes.items() if process.exit_status is not None))


def assert_unavailable(answer: httpx.Response) -> None:
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/unavailable"
    assert int(answer.headers["retry-after"]) > 0


def get(hosts: HostsStack, tus: Tus, path: str) -> httpx.Response:
    return httpx.get(hosts.url + path, headers={"Authorization": f"Bearer {tus.token}"}, timeout=30)


def test_a_long_video_goes_through_every_process(hosts: HostsStack, tus: Tus, tmp_path: Path):
    """In slices to the host of upload, and its MP3, longer than a function's answer, out through the gateway."""
    video, mp3 = tmp_path / "long.mkv", tmp_path / "a.mp3"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=duration=250:color=pink", "-c:a", "pcm_s16le", str(video))

    uploaded = tus.person.upload(video, quality="320")
    done = tus.person.wait(uploaded.id, timeout_s=120)
    tus.person.save(done.id, mp3)

    assert video.stat().st_size > 20 * MIB
    assert (done.state, done.attempts) == (State.COMPLETED, 1)
    assert done.video.sha256 == sha256(video.read_bytes())
    assert done.mp3 is not None
    assert done.mp3.bytes == mp3.stat().st_size > 6 * MIB
    assert done.mp3.sha256 == sha256(mp3.read_bytes())


def test_the_letter_comes_and_its_link_needs_no_login(hosts: HostsStack, tus: Tus):
    """What the triggers' process signs, the host of download lets in."""
    done = tus.person.wait(tus.person.upload(real_clip()).id, timeout_s=60)
    address = tus.person.me().email

    [letter] = until(
        lambda: [each for each in letters.in_outbox(hosts.outbox, address) if done.filename in each.subject]
    )

    answer = httpx.get(letter.link)
    assert answer.status_code == 200
    assert done.mp3 is not None
    assert sha256(answer.content) == done.mp3.sha256


def test_a_token_that_is_wrong_is_a_401_and_no_outage(hosts: HostsStack):
    """The authorizer raises to say so, in another process."""
    answer = httpx.get(hosts.url + ME, headers={"Authorization": "Bearer wrong"})

    assert answer.status_code == 401
    assert answer.json()["type"] == "/problems/invalid-token"


@pytest.mark.usefixtures("whole")
def test_a_host_that_is_away_is_a_503_and_comes_back_by_itself(hosts: HostsStack, tus: Tus):
    """A client is told to try again, the other functions go on, and nobody has to restart the gateway."""
    gateway = hosts.processes["gateway"].pid
    assert get(hosts, tus, CONVERSIONS).status_code == 200

    hosts.kill("download")
    away = get(hosts, tus, CONVERSIONS)
    other = get(hosts, tus, ME)
    hosts.start("download")

    assert_unavailable(away)
    assert other.status_code == 200
    assert get(hosts, tus, CONVERSIONS).status_code == 200
    assert hosts.processes["gateway"].pid == gateway


@pytest.mark.usefixtures("whole")
def test_nobody_is_let_in_while_the_authorizer_is_away(hosts: HostsStack, tus: Tus):
    """Nothing is known of the caller then, so it must be neither a 200 nor a 401: clients would log out."""
    hosts.kill("auth")

    assert_unavailable(get(hosts, tus, CONVERSIONS))


@pytest.mark.usefixtures("whole")
def test_an_upload_bears_that_its_host_is_replaced(hosts: HostsStack, tus: Tus):
    """A deployment in mid-upload: the client, which sends one long body, sees nothing of it."""
    content = noise(20 * MIB)
    path = tus.create(len(content))
    with tus.begin_patch(path, 0, len(content)) as sending:
        sending.send(content[: 9 * MIB])
        until(lambda: tus.offset(path) >= 4 * MIB)
        os.kill(hosts.processes["upload"].pid, signal.SIGTERM)
        until(lambda: hosts.processes["upload"].exit_status is not None)
        sending.send(content[9 * MIB : 15 * MIB])
        hosts.start("upload")
        sending.send(content[15 * MIB :])
        answer = sending.answer()

    assert (answer.status, answer.offset) == (204, len(content))
    assert hosts.processes["upload"].exit_status is None


@pytest.mark.usefixtures("whole")
def test_readiness_is_told_by_the_gateway_while_hosts_are_away(hosts: HostsStack):
    """It says whether the servers answer, and is asked by whoever decides what to restart."""
    hosts.kill("upload")

    answer = httpx.get(f"{hosts.url}/readyz", timeout=10)

    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"
