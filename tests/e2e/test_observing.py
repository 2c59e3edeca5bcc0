"""What a stack that runs tells of itself: its metrics, and the story of one video in its log."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from functions.shared.metrics import (
    CONSUMERS,
    CONVERSION_SECONDS,
    CONVERSIONS_COMPLETED,
    EMAILS,
    EVENTS_PUBLISHED,
    MESSAGES,
    METRICS,
    NAMESPACE,
    QUEUE_MESSAGES,
    REQUESTS,
    UPLOADS_ACCEPTED,
    Metric,
)
from infra.local.stack import RunningStack
from infra.rabbitmq.topology import CONVERSIONS, NOTIFICATIONS
from tests.media import Media
from tests.tus import MIB, Tus, metadata, until, upload_id
from video2mp3 import State


class Told:
    """What a process tells Prometheus, at one moment."""

    def __init__(self, url: str) -> None:
        families = text_string_to_metric_families(httpx.get(url, timeout=10).raise_for_status().text)
        self.samples = [sample for family in families for sample in family.samples]

    def value(self, metric: Metric, suffix: str = "", **labels: str) -> float:
        """Return the value of a series, 0 if there is none."""
        name = f"{NAMESPACE}_{metric.name}{suffix}"
        return sum(each.value for each in self.samples if each.name == name and labels.items() <= each.labels.items())


def told(stack: RunningStack, process: str) -> Told:
    return Told(stack.now.metrics[process])


def lines_of(stack: RunningStack) -> Iterator[dict[str, Any]]:
    """Yield the lines of the stack's log that are JSON: all but what its supervisor prints."""
    for line in (stack.outbox.parent / "logs/stack.log").read_text().splitlines():
        if line.startswith("{"):
            yield json.loads(line)


def test_metrics_show_the_conversion_that_was_just_made(stack: RunningStack, tus: Tus, media: Media):
    """The gateway tells what came in, the triggers what became of it."""
    before = {process: told(stack, process) for process in ("gateway", "triggers")}
    conversion = tus.person.upload(media.video("mp4 moov last"))
    assert tus.person.wait(conversion.id, timeout_s=120).state is State.COMPLETED

    def is_told() -> dict[str, Told] | None:
        now = {process: told(stack, process) for process in before}
        sent = now["triggers"].value(EMAILS, "_total", outcome="sent")
        messages = now["triggers"].value(MESSAGES, "_total", queue=NOTIFICATIONS.name, outcome="done")
        before_sent = before["triggers"].value(EMAILS, "_total", outcome="sent")
        before_messages = before["triggers"].value(MESSAGES, "_total", queue=NOTIFICATIONS.name, outcome="done")
        return now if sent > before_sent and messages > before_messages else None

    now = until(is_told)

    def more(process: str, metric: Metric, suffix: str = "_total", **labels: str) -> float:
        return now[process].value(metric, suffix, **labels) - before[process].value(metric, suffix, **labels)

    assert more("gateway", UPLOADS_ACCEPTED, kind="form") == 1
    assert more("gateway", REQUESTS, route="/v1/conversions", method="POST", status="2xx") == 1
    assert more("gateway", EVENTS_PUBLISHED, event="video.uploaded") == 1
    assert more("triggers", CONVERSIONS_COMPLETED) >= 1
    assert more("triggers", CONVERSION_SECONDS, "_count") >= 1
    assert more("triggers", MESSAGES, queue=CONVERSIONS.name, outcome="done") >= 1
    assert now["triggers"].value(CONSUMERS, queue=CONVERSIONS.name) >= 1
    assert now["triggers"].value(CONSUMERS, queue=NOTIFICATIONS.name) == 1


def test_the_queues_and_their_dead_letters_are_watched(stack: RunningStack):
    """Sweep looks at them as soon as the stack runs, and then each minute."""

    def seen() -> set[str]:
        samples = told(stack, "triggers").samples
        return {each.labels["queue"] for each in samples if each.name == f"{NAMESPACE}_{QUEUE_MESSAGES.name}"}

    queues = until(seen)

    assert queues >= {CONVERSIONS.name, CONVERSIONS.dead_letters, NOTIFICATIONS.name, NOTIFICATIONS.dead_letters}


def test_all_that_is_told_is_in_the_table(stack: RunningStack):
    """And the API's own port tells nothing."""
    names = {f"{NAMESPACE}_{metric.name}" for metric in METRICS}
    samples = [*told(stack, "gateway").samples, *told(stack, "triggers").samples]
    ours = {each.name for each in samples if each.name.startswith(NAMESPACE)}

    assert {name for name in ours if not any(name.startswith(each) for each in names)} == set()
    assert httpx.get(f"{stack.url}/metrics", timeout=10).status_code == 404


def test_one_id_finds_all_that_happened_to_a_video(stack: RunningStack, tus: Tus, media: Media, tmp_path: Path):
    """In order: from the first request of its upload to its deletion, over every process on its way."""
    video = media.video("mp4 moov last").read_bytes()
    path = tus.create(len(video), metadata({"filename": "holiday.mp4"}))
    conversion_id = upload_id(path)
    middle = min(len(video) // 2, MIB)
    assert tus.patch(path, 0, video[:middle]).status == 204
    assert tus.head(path).offset == middle
    assert tus.patch(path, middle, video[middle:]).status == 204
    assert tus.person.wait(conversion_id, timeout_s=120).state is State.COMPLETED
    tus.person.save(conversion_id, tmp_path / "holiday.mp3")
    assert httpx.get(tus.person.link(conversion_id, ttl_s=60).url, timeout=30).status_code == 200

    def is_told() -> bool:
        return any(
            line["message"] == "message done" and line["function"] == "NotifyFunction"
            for line in lines_of(stack)
            if line.get("conversion_id") == conversion_id
        )

    until(is_told)
    tus.person.delete(conversion_id)
    until(lambda: any(line.get("message") == "deleted" for line in about(stack, conversion_id)))

    story = about(stack, conversion_id)
    assert_in_order(
        [
            "upload: upload begun",
            "gateway: request POST /v1/uploads",
            "gateway: request PATCH /v1/uploads/{upload_id}",
            "gateway: request HEAD /v1/uploads/{upload_id}",
            "upload: accepted",
            "convert: converting",
            "convert: completed",
            "notify: mail",
            "notify: told",
            "triggers: message done",
        ],
        story,
    )
    assert_in_order(
        [
            "convert: completed",
            "gateway: request GET /v1/conversions/{conversion_id}/mp3",
            "gateway: request POST /v1/conversions/{conversion_id}/link",
            "download: fetched by link",
            "download: deleted",
        ],
        story,
    )
    # Whatever else was said in the same requests and calls, and of the same messages, says it, too.
    ids = {line[key] for line in story for key in ("request_id", "message_id") if key in line}
    theirs = [line for line in lines_of(stack) if {line.get("request_id"), line.get("message_id")} & ids]
    silent = [line for line in theirs if line.get("conversion_id") != conversion_id]
    assert len(story) >= 15
    # Whose a link is only download knows. Its line and the gateway's have the request's id.
    assert [line["path"] for line in silent] == ["/v1/downloads/{token}"]


def about(stack: RunningStack, conversion_id: str) -> list[dict[str, Any]]:
    return [line for line in lines_of(stack) if line.get("conversion_id") == conversion_id]


def assert_in_order(wanted: list[str], story: list[dict[str, Any]]) -> None:
    said = iter([describe(line) for line in story])
    missing = [each for each in wanted if each not in said]
    assert missing == [], "\n".join(map(describe, story))


def describe(line: dict[str, Any]) -> str:
    what = f"{line['service']}: {line['message']}"
    return f"{what} {line['method']} {line['path']}" if line["message"] == "request" else what


@pytest.mark.parametrize("process", ["gateway", "triggers"])
def test_only_this_machine_can_read_metrics(stack: RunningStack, process: str):
    """Nobody is asked who he is there."""
    assert stack.now.metrics[process].startswith("http://127.0.0.1:")
