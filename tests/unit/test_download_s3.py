"""S3 for copies, as moto and botocore's stub play it: what a real server cannot be made to do."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import moto
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from functions.download.s3_copies import PART_BYTES, S3Copies, _Upload, connect_s3
from functions.shared.problems import Unavailable
from infra.local.processes import free_port
from tests.ministack import REGION, use_aws

BUCKET = "video2mp3-downloads"


@pytest.fixture(autouse=True)
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    use_aws(
        {
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "a secret",
        },
        monkeypatch,
    )


@pytest.fixture
def s3() -> Iterator[S3Copies]:
    with moto.mock_aws():
        client = connect_s3()
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        yield S3Copies(client, BUCKET)


def test_a_copy_has_one_name_and_one_type(s3):
    assert s3.make("c1-2.mp3", "audio/mpeg", lambda _: [b"a" * PART_BYTES, b"b" * 10], lambda: True)

    stored = connect_s3().get_object(Bucket=BUCKET, Key="c1-2.mp3")
    assert stored["ContentType"] == "audio/mpeg"
    assert stored["Body"].read() == b"a" * PART_BYTES + b"b" * 10


def test_an_upload_that_fails_is_taken_back(s3):
    """S3 keeps, and bills, the parts of an upload that nobody ends."""

    def fails(_: int) -> Iterator[bytes]:
        for _ in range(3):
            yield bytes(PART_BYTES)
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        s3.make("c1-1.mp3", "audio/mpeg", fails, lambda: True)

    assert "Uploads" not in connect_s3().list_multipart_uploads(Bucket=BUCKET)
    assert "Contents" not in connect_s3().list_objects_v2(Bucket=BUCKET)


def test_a_part_that_was_lost_on_its_way_is_stored_again(s3):
    """Two are on their way at once, so one may be there without the one before it."""
    client, content = connect_s3(), b"".join(bytes([number]) * PART_BYTES for number in range(3))
    begun = client.create_multipart_upload(Bucket=BUCKET, Key="c1-1.mp3", ContentType="audio/mpeg")
    for number in (1, 3):
        part = content[(number - 1) * PART_BYTES : number * PART_BYTES]
        client.upload_part(Bucket=BUCKET, Key="c1-1.mp3", UploadId=begun["UploadId"], PartNumber=number, Body=part)
    starts: list[int] = []

    def read_from(start: int) -> list[bytes]:
        starts.append(start)
        return [content[start:]]

    assert s3.make("c1-1.mp3", "audio/mpeg", read_from, lambda: True)

    assert starts == [PART_BYTES]
    assert client.get_object(Bucket=BUCKET, Key="c1-1.mp3")["Body"].read() == content


def test_more_parts_than_s3_lists_at_once_are_all_seen(s3, monkeypatch):
    """It lists 1,000, and a ZIP of 100 GB has 6,000. A part of its own size makes this test quick."""
    monkeypatch.setattr("functions.download.s3_copies.PART_BYTES", 1)
    content = bytes(range(256)) * 5
    times = iter([True] * 1100)

    assert not s3.make("c1-1.mp3", "audio/mpeg", lambda start: [content[start:]], lambda: next(times, False))
    starts: list[int] = []

    def read_from(start: int) -> list[bytes]:
        starts.append(start)
        return []

    s3.make("c1-1.mp3", "audio/mpeg", read_from, lambda: False)

    assert starts == [1100]


def test_what_another_request_completed_is_there(s3, monkeypatch):
    """Two copied the same, and one was first."""
    content = b"a" * 10
    go_on = _Upload.go_on

    def overtaken(self: _Upload, *arguments: Any) -> bool:
        monkeypatch.setattr(_Upload, "go_on", go_on)
        assert s3.make("c1-1.mp3", "audio/mpeg", lambda _: [content], lambda: True)
        return go_on(self, *arguments)

    monkeypatch.setattr(_Upload, "go_on", overtaken)

    assert s3.make("c1-1.mp3", "audio/mpeg", lambda _: [content], lambda: True)
    assert s3.made_at("c1-1.mp3") is not None
    assert "Uploads" not in connect_s3().list_multipart_uploads(Bucket=BUCKET)


def test_a_url_names_its_region_and_its_end():
    """One without a region is redirected by S3, and its signature is then wrong."""
    url = urlsplit(S3Copies(connect_s3(), BUCKET).url("c1-1.mp3", "a.mp3", timedelta(minutes=5)))
    query = {name: value for name, [value] in parse_qs(url.query).items()}

    assert (url.scheme, url.netloc) == ("https", f"{BUCKET}.s3.{REGION}.amazonaws.com")
    assert url.path == "/c1-1.mp3"
    assert query["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert query["X-Amz-Expires"] == "300"
    assert query["response-content-disposition"].startswith('attachment; filename="a.mp3"')
    # A signed Range or Accept would bind the URL to one client.
    assert query["X-Amz-SignedHeaders"] == "host"


# The methods, each with what it asks S3 first.
CALLS = {
    "made_at": ("head_object", lambda copies: copies.made_at("c1-1")),
    "make": ("list_multipart_uploads", lambda copies: copies.make("c1", "audio/mpeg", lambda _: [b"a"], lambda: True)),
    "delete": ("list_multipart_uploads", lambda copies: copies.delete("c1-1")),
}


@pytest.mark.parametrize(("_", "call"), CALLS.values(), ids=CALLS)
def test_an_s3_that_cannot_be_reached_is_unavailable(_, call, monkeypatch):
    """So the client is told to come again."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")

    with pytest.raises(Unavailable, match="storage for downloads"):
        call(S3Copies(connect_s3(), BUCKET))


@pytest.mark.parametrize(("operation", "call"), CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("code", "status"), [("SlowDown", 503), ("InternalError", 500), ("502", 502)])
def test_an_s3_that_has_trouble_is_unavailable(operation, call, code, status):
    client = connect_s3()
    with Stubber(client) as stub:
        stub.add_client_error(operation, code, http_status_code=status)
        with pytest.raises(Unavailable):
            call(S3Copies(client, BUCKET))


@pytest.mark.parametrize(("operation", "call"), CALLS.values(), ids=CALLS)
def test_an_s3_that_refuses_is_a_mistake_of_ours(operation, call):
    """A missing permission does not go away by waiting; the log must show it."""
    client = connect_s3()
    with Stubber(client) as stub:
        stub.add_client_error(operation, "AccessDenied", http_status_code=403)
        with pytest.raises(ClientError, match="AccessDenied"):
            call(S3Copies(client, BUCKET))
