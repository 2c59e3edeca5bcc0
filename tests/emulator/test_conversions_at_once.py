"""Conversions on AWS, where RabbitMQ calls a function once at a time: each is handed to a call of its own."""

import json
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from botocore.config import Config

from functions.shared.mongo import connect_mongo
from tests.emulator_stack import STAGE, Emulator
from tests.media import ffmpeg
from tests.reports import Report
from video2mp3 import Client, State

pytestmark = pytest.mark.emulator

CONVERT = f"video2mp3-{STAGE}-ConvertFunction"
BROKER = "arn:aws:mq:eu-central-1:000000000000:broker:video2mp3:b-0"
COUNT = 10
VIDEO_S = 100
WITHIN_S = 150


@dataclass
class Timeline:
    """When each conversion was seen under way, in seconds since the first look. Looks that saw it are counted too."""

    seen: dict[str, list[float]] = field(default_factory=dict)
    most_at_once: int = 0

    def look(self, at: float, converting: set[str]) -> None:
        """Note which are under way."""
        self.most_at_once = max(self.most_at_once, len(converting))
        for conversion_id in converting:
            self.seen.setdefault(conversion_id, []).append(at)

    def lines(self) -> Iterator[str]:
        """Draw a line for each, in the order of their beginnings."""
        spans = sorted((times[0], times[-1]) for times in self.seen.values())
        end = max(last for _, last in spans)
        for number, (first, last) in enumerate(spans, 1):
            start, stop = round(first / end * 60), round(last / end * 60)
            bar = " " * start + "#" * max(1, stop - start)
            yield f"{number:>3}  {first:5.1f} s to {last:5.1f} s  |{bar:<60}|"


@pytest.fixture
def person(emulator: Emulator) -> Iterator[Client]:
    with Client(emulator.url) as person:
        address = f"{secrets.token_hex(6)}@example.com"
        person.register(address, "correct horse battery")
        person.login(address, "correct horse battery")
        yield person


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """One that takes a core some seconds, and is soon uploaded."""
    path = tmp_path / "long.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", f"anoisesrc=duration={VIDEO_S}:amplitude=0.1", "-ac", "2", "-c:a", "libopus"), str(path)
    )
    return path


def start_workers(emulator: Emulator) -> None:
    """Have as many run as will be needed: each unpacks ffmpeg first, which takes longer than a conversion does here."""
    nothing = json.dumps({"eventSource": "aws:rmq", "eventSourceArn": BROKER, "rmqMessagesByQueue": {}}).encode()
    workers = COUNT + 2  # two hand on what the others convert
    functions = emulator.client("lambda", Config(max_pool_connections=workers))
    with ThreadPoolExecutor(workers) as pool:
        calls = [pool.submit(functions.invoke, FunctionName=CONVERT, Payload=nothing) for _ in range(workers)]
    functions.close()
    assert [call.result().get("FunctionError") for call in calls] == [None] * len(calls)


def test_conversions_that_are_queued_run_at_once(
    emulator: Emulator, person: Client, video: Path, report: Report
) -> None:
    """Not one after the other, though the queue calls the function with one message at a time."""
    start_workers(emulator)
    emulator.stop_triggers()
    queued = {person.upload(video).id for _ in range(COUNT)}
    assert {person.conversion(each).state for each in queued} == {State.QUEUED}
    timeline, conversions = Timeline(), connect_mongo(emulator.databases.mongodb).conversions
    emulator.start_triggers()

    started = time.monotonic()
    states = dict.fromkeys(queued, State.QUEUED)
    while any(not state.is_end for state in states.values()):
        assert time.monotonic() < started + WITHIN_S, states
        found = conversions.find({"_id": {"$in": list(queued)}}, {"state": True})
        states = {each["_id"]: State(each["state"]) for each in found}
        timeline.look(time.monotonic() - started, {each for each in queued if states[each] == State.CONVERTING})
        time.sleep(0.05)
    conversions.database.client.close()

    report.add(f"{COUNT} conversions, handed off: at most {timeline.most_at_once} at once", *timeline.lines())
    assert set(states.values()) == {State.COMPLETED}
    assert {person.conversion(each).attempts for each in queued} == {1}
    assert timeline.most_at_once >= COUNT // 2
