"""Copies of MP3s and ZIPs in Amazon S3."""

import contextlib
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import count, takewhile
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.download.copies import ReadFrom
from functions.download.dispositions import attachment
from functions.shared.problems import Unavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

# API Gateway waits 29 s for the function, in which MongoDB has to be asked, too.
CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 8
ATTEMPTS = 2
# S3 takes 10,000 parts, which are 160 GB of these.
PART_BYTES = 16 * 1024 * 1024


def connect_s3() -> "S3Client":
    """Return a client for the region, the credentials and the endpoint (AWS_ENDPOINT_URL) of the environment."""
    return boto3.client(
        "s3",
        config=Config(
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            signature_version="s3v4",
            # Without it URLs name no region, and S3 redirects those whose bucket is new or lies in another.
            s3={"addressing_style": "virtual"},
        ),
    )


class S3Copies:
    """One bucket, whose lifecycle deletes what is a day old. Implements Copies.

    A copy is a multipart upload: its parts stay between two calls, and S3 shows an object once it has all.
    """

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    def made_at(self, name: str) -> datetime | None:
        """See Copies."""
        with _s3_errors():
            try:
                return self._client.head_object(Bucket=self._bucket, Key=name)["LastModified"]
            except ClientError as error:
                if _status(error) == 404:
                    return None
                raise

    def make(self, name: str, content_type: str, read_from: ReadFrom, has_time: Callable[[], bool]) -> bool:
        """See Copies. Several may make the same copy at once: they write the same parts."""
        with _s3_errors():
            upload = self._begun(name) or self._begin(name, content_type)
            try:
                return upload.go_on(read_from, has_time)
            except self._client.exceptions.NoSuchUpload:
                # Another call has completed it, or it was deleted.
                return self.made_at(name) is not None
            except (BotoCoreError, ClientError, Unavailable):
                # The next call goes on.
                raise
            except Exception:
                upload.abort()
                raise

    def _begin(self, name: str, content_type: str) -> "_Upload":
        begun = self._client.create_multipart_upload(Bucket=self._bucket, Key=name, ContentType=content_type)
        return self._upload(name, begun["UploadId"])

    def _begun(self, name: str) -> "_Upload | None":
        """Return an upload under a name that was begun and has not ended."""
        return next(iter(self._uploads(name)), None)

    def _uploads(self, name: str) -> "list[_Upload]":
        listed = self._client.list_multipart_uploads(Bucket=self._bucket, Prefix=name).get("Uploads", [])
        return [self._upload(name, each["UploadId"]) for each in listed if each["Key"] == name]

    def _upload(self, name: str, upload_id: str) -> "_Upload":
        return _Upload(self._client, self._bucket, name, upload_id)

    def url(self, name: str, filename: str, ttl: timedelta) -> str:
        """See Copies. S3 is not asked."""
        return self._client.generate_presigned_url(
            "get_object",
            Params={
                "Bucket": self._bucket,
                "Key": name,
                "ResponseContentDisposition": attachment(filename),
                "ResponseCacheControl": "private, no-cache",
            },
            ExpiresIn=int(ttl.total_seconds()),
        )

    def delete(self, name: str) -> None:
        """See Copies."""
        with _s3_errors():
            for upload in self._uploads(name):
                upload.abort()
            self._client.delete_object(Bucket=self._bucket, Key=name)


class _Upload:
    """A multipart upload. All its parts but the last have PART_BYTES."""

    def __init__(self, client: "S3Client", bucket: str, name: str, upload_id: str) -> None:
        self._client = client
        self._bucket = bucket
        self._name = name
        self._id = upload_id

    def go_on(self, read_from: ReadFrom, has_time: Callable[[], bool]) -> bool:
        """Store more parts while there is time; return whether that was all, and the object is there."""
        tags = self._stored()
        file = io.BufferedReader(_Parts(read_from(len(tags) * PART_BYTES)))
        # Two parts on their way and one being read, however large the file.
        with ThreadPoolExecutor(2) as pool:
            storing: deque[Future[str]] = deque()
            has_all = False
            while not has_all and has_time():
                part = file.read(PART_BYTES)
                has_all = len(part) < PART_BYTES
                if part or not (tags or storing):
                    storing.append(pool.submit(self._store, len(tags) + len(storing) + 1, part))
                if len(storing) == 2:
                    tags.append(storing.popleft().result())
            tags += [each.result() for each in storing]
        if has_all:
            numbered: list[CompletedPartTypeDef] = [
                {"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)
            ]
            self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=self._name, UploadId=self._id, MultipartUpload={"Parts": numbered}
            )
        return has_all

    def abort(self) -> None:
        """Drop all parts. Does nothing if it has ended."""
        with contextlib.suppress(self._client.exceptions.NoSuchUpload):
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=self._name, UploadId=self._id)

    def _stored(self) -> list[str]:
        """Return the tags of the first parts, up to one that is missing."""
        pages = self._client.get_paginator("list_parts").paginate(
            Bucket=self._bucket, Key=self._name, UploadId=self._id
        )
        parts = {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}
        stored = takewhile(lambda number: number in parts and parts[number]["Size"] == PART_BYTES, count(1))
        return [parts[number]["ETag"] for number in stored]

    def _store(self, number: int, part: bytes) -> str:
        stored = self._client.upload_part(
            Bucket=self._bucket, Key=self._name, UploadId=self._id, PartNumber=number, Body=part
        )
        return stored["ETag"]


class _Parts(io.RawIOBase):
    """Parts of any size as a file that is read from beginning to end."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        into = memoryview(buffer)
        while not self._rest and (part := next(self._parts, None)) is not None:
            self._rest = memoryview(part)
        taken = self._rest[: len(into)]
        into[: len(taken)] = taken
        self._rest = self._rest[len(taken) :]
        return len(taken)


def _status(error: ClientError) -> int:
    return error.response["ResponseMetadata"]["HTTPStatusCode"]


@contextlib.contextmanager
def _s3_errors() -> Iterator[None]:
    """Turn errors that a later try may not see into Unavailable. A refusal is a mistake of ours, and goes on up."""
    try:
        yield
    except BotoCoreError as error:
        raise Unavailable("The storage for downloads") from error
    except ClientError as error:
        if _status(error) >= 500:
            raise Unavailable("The storage for downloads") from error
        raise
