"""Copies of MP3s and ZIPs in Amazon S3."""

import contextlib
import io
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from functions.download.dispositions import attachment
from functions.shared.problems import Unavailable

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from mypy_boto3_s3 import S3Client

# API Gateway waits 29 s for the function, in which MongoDB has to be asked, too.
CONNECT_TIMEOUT_S = 3
READ_TIMEOUT_S = 8
ATTEMPTS = 2
PART_BYTES = 8 * 1024 * 1024


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
    """One bucket, whose lifecycle deletes what is a day old. Implements Copies."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = bucket
        # Two parts on their way and one being read, however large the file. S3 shows an object once it has all.
        self._transfer = TransferConfig(
            multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=2
        )
        self._transfer.max_in_memory_upload_chunks = 2

    def made_at(self, name: str) -> datetime | None:
        """See Copies."""
        with _s3_errors():
            try:
                return self._client.head_object(Bucket=self._bucket, Key=name)["LastModified"]
            except ClientError as error:
                if _status(error) == 404:
                    return None
                raise

    def make(self, name: str, content_type: str, parts: Iterable[bytes]) -> None:
        """See Copies. If several make the same copy at once, the last one stays."""
        with _s3_errors():
            self._client.upload_fileobj(
                io.BufferedReader(_Parts(parts)),
                self._bucket,
                name,
                ExtraArgs={"ContentType": content_type},
                Config=self._transfer,
            )

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
            self._client.delete_object(Bucket=self._bucket, Key=name)


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
