"""A deploy: every process is asked to end, and started again, while people use the service."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest
from pymongo.database import Database

from functions.shared.mongo import Document, connect_mongo
from infra.local.servers import ServerUrls
from infra.rabbitmq.topology import QUEUES
from tests.faults.checker import Accepted, Checker
from tests.faults.conftest import Observed
from tests.faults.load import Clip, load
from tests.hosts import HostsStack, running_hosts
from tests.media import Media, ffmpeg
from tests.tus import Tus, new_person, until

# Shorter than the conversion of LONG_S, so that work does not only end but is also given back.
DRAIN_S = "1"
LONG_S = 480
PEOPLE = 3


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory, servers: ServerUrls) -> Iterator[HostsStack]:
    with running_hosts(tmp_path_factory.mktemp("hosts"), servers, {"LEASE_S": "3", "DRAIN_S": DRAIN_S}) as stack:
        yield stack


@pytest.fixture(scope="module")
def hosts_database(hosts: HostsStack) -> Iterator[Database[Document]]:
    database = connect_mongo(hosts.urls.mongodb)
    yield database
    database.client.close()


@pytest.fixture(scope="module")
def person(hosts: HostsStack) -> Iterator[Tus]:
    person = new_person(hosts.url)
    yield person
    person.person.close()


@pytest.fixture
def long_video(media: Media, tmp_path: Path) -> Clip:
    """A video whose conversion takes some seconds."""
    path, part = tmp_path / "long.mp4", media.video("mp4 moov last", 120)
    ffmpeg("-stream_loop", str(LONG_S // 120 - 1), "-i", str(part), "-map", "0:a", "-c", "copy", str(path))
    return Clip("long", path, None)


def deploy(hosts: HostsStack, *names: str) -> list[int | None]:
    """Ask processes to end, all at the same time, start them again when they have, and return their exit statuses."""
    for name in names:
        os.kill(hosts.processes[name].pid, signal.SIGTERM)
    until(lambda: all(hosts.processes[name].exit_status is not None for name in names), within_s=60)
    statuses = [hosts.processes[name].exit_status for name in names]
    hosts.start(*names)
    return statuses


@pytest.mark.row(28)
def test_a_deploy_loses_nothing(
    hosts: HostsStack,
    hosts_database: Database[Document],
    person: Tus,
    media: Media,
    long_video: Clip,
    tmp_path: Path,
    observed: Observed,
) -> None:
    """One process after the other, and then all at once: clients wait a little, and no video is tried in vain."""
    clips = [Clip(name, media.video(name, seconds), seconds) for name, seconds in (("mp4 fragmented", 3), ("mov", 40))]
    names = list(hosts.processes)

    with load(hosts.url, clips, tmp_path, people=PEOPLE, seed=1) as people:
        uploaded = person.person.upload(long_video.path)
        accepted = Accepted(uploaded.id, "long.mp4", long_video.sha256(), deleted=False)
        until(lambda: hosts_database.conversions.find_one({"_id": uploaded.id, "state": "converting"}))
        statuses = deploy(hosts, "triggers")
        begun = hosts_database.conversions.find_one({"_id": uploaded.id})
        for name in names:
            if name != "triggers":
                statuses += deploy(hosts, name)
        statuses += deploy(hosts, *names)

    checker = Checker(hosts_database, hosts.outbox)
    all_accepted = [accepted, *people.accepted]
    until(lambda: not checker.under_way() and not checker.untold(), within_s=90)
    verdict = checker.look_at_all(all_accepted)
    assert statuses == [0] * (2 * len(names))
    assert people.diary.surprises == []
    assert people.accepted
    assert verdict.is_clean, verdict.reasons
    assert verdict.untold == []
    assert verdict.ends["failed"] == 0
    # The attempt that the deploy interrupted is none.
    assert begun is not None
    assert begun["state"] in {"queued", "converting"}
    attempts = hosts_database.conversions.distinct("attempts", {"state": "completed"})
    assert attempts == [1]
    dead = dead_letters(hosts.urls.amqp)
    assert dead == 0
    observed(
        f"{len(statuses)} processes ended by themselves under {len(all_accepted)} uploads, "
        f"{people.diary.given_up} given up; {verdict}; attempts {attempts}, dead letters {dead}, "
        f"answers lost {lost_answers(hosts)}"
    )


def dead_letters(amqp_url: str) -> int:
    with pika.BlockingConnection(pika.URLParameters(amqp_url)) as connection:
        queues = [connection.channel().queue_declare(queue.dead_letters, passive=True) for queue in QUEUES]
        return sum(int(queue.method.message_count) for queue in queues)


def lost_answers(hosts: HostsStack) -> int:
    """Return how many calls were answered by nobody, which is a 503 for who waits for them."""
    return hosts.log("gateway").read_text().count("gave no answer")
