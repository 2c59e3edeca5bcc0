"""Downloads as they are on AWS: the real gateway, function and MongoDB, and an S3 from which clients fetch copies."""

import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import httpx
import pytest
from pymongo.database import Database

from functions.shared.conversions import Owner
from functions.shared.mongo import Document
from infra.local.processes import free_port
from infra.local.servers import ServerUrls
from tests.gateway_process import GatewayProcess, running_gateway
from tests.ministack import REGION, running_ministack, use_aws
from tests.stored_mp3s import store_mp3
from tests.tus import MIB, noise
from video2mp3 import Client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "downloads"
CONTENT = noise(20 * MIB + 7)


@dataclass
class Aws:
    """The service, a person who is logged in, her MP3, and S3."""

    gateway: GatewayProcess
    client: Client
    conversion_id: str
    s3: "S3Client"

    @property
    def link(self) -> str:
        return self.gateway.link(self.conversion_id)


@pytest.fixture
def aws(
    tmp_path: Path, servers: ServerUrls, mongo: Database[Document], postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Aws]:
    with running_ministack(tmp_path) as environ:
        use_aws(environ, monkeypatch)
        s3 = boto3.client("s3")
        s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        with (
            running_gateway(
                tmp_path, servers, mongo, postgres_url=postgres_url, environ={**environ, "DOWNLOAD_BUCKET": BUCKET}
            ) as gateway,
            Client(gateway.url) as client,
        ):
            client.register("ann@example.com", "correct horse battery")
            client.login("ann@example.com", "correct horse battery")
            me = client.me()
            conversion_id = store_mp3(mongo, Owner(me.id, me.email), [CONTENT], "Grüße.mp4")
            yield Aws(gateway, client, conversion_id, s3)
        s3.close()


def test_a_large_mp3_is_downloaded_from_a_copy_that_goes_with_it(aws: Aws, tmp_path: Path) -> None:
    """By our own client, by curl with a link, and by curl that goes on; then it is deleted."""
    ours, curls, rest = tmp_path / "ours.mp3", tmp_path / "curl", tmp_path / "rest.mp3"
    curls.mkdir()
    rest.write_bytes(CONTENT[: 5 * MIB])

    aws.client.save(aws.conversion_id, ours)
    (copy,) = aws.s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    time.sleep(1.1)  # so that a copy that is made again is seen by its time, which has whole seconds
    curl(aws.link, "--remote-name", "--remote-header-name", "--output-dir", str(curls))
    said = curl(aws.link, "--continue-at", "-", "--output", str(rest), "--write-out", "%{http_code} %{size_download}")

    assert ours.read_bytes() == CONTENT
    assert [path.name for path in curls.iterdir()] == ["Gru_e.mp3"]
    assert (curls / "Gru_e.mp3").read_bytes() == CONTENT
    assert said == f"206 {len(CONTENT) - 5 * MIB}"
    assert rest.read_bytes() == CONTENT
    assert aws.s3.list_objects_v2(Bucket=BUCKET)["Contents"] == [copy]

    redirect = httpx.get(aws.link)
    assert (redirect.status_code, redirect.content) == (307, b"")
    assert redirect.headers["cache-control"] == "no-store"
    url = redirect.headers["location"]
    assert httpx.get(url).content == CONTENT
    log = aws.gateway.log.read_text()
    assert '"status":307' in log
    assert "X-Amz-" not in log
    assert aws.link.rpartition("/")[2] not in log

    aws.client.delete(aws.conversion_id)
    assert "Contents" not in aws.s3.list_objects_v2(Bucket=BUCKET)
    assert httpx.get(url).status_code == 404
    assert httpx.get(aws.link).status_code == 404


def test_without_s3_only_what_does_not_fit_into_an_answer_has_to_wait(
    tmp_path: Path, servers: ServerUrls, mongo: Database[Document]
) -> None:
    """A player that seeks gets its small ranges; and API Gateway would wait 29 s at most."""
    nowhere = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "DOWNLOAD_BUCKET": BUCKET,
    }
    conversion_id = store_mp3(mongo, Owner("ann", "ann@example.com"), [CONTENT])
    with running_gateway(tmp_path, servers, mongo, environ=nowhere) as gateway:
        link = gateway.link(conversion_id)
        head = httpx.head(link)
        part = httpx.get(link, headers={"Range": f"bytes=-{4 * MIB}"})
        whole = httpx.get(link, timeout=29)

    assert (head.status_code, head.headers["content-length"]) == (200, str(len(CONTENT)))
    assert (part.status_code, part.content) == (206, CONTENT[-4 * MIB :])
    assert (whole.status_code, whole.json()["type"]) == (503, "/problems/unavailable")
    assert whole.headers["retry-after"] == "5"


def curl(url: str, *options: str) -> str:
    command = ["curl", "--silent", "--show-error", "--fail", "--location", "--max-time", "60", *options, url]
    return subprocess.run(command, capture_output=True, text=True, timeout=70, check=True).stdout
