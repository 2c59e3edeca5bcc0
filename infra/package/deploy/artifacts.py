"""Zips and templates in S3, from which AWS takes them. Each is named by its content, so none is ever replaced."""

import hashlib
import json
from collections.abc import Callable

from botocore.exceptions import ClientError

from infra.package.deploy.aws import Client
from infra.package.deploy.failures import code_of
from infra.package.document import Document
from infra.package.packages import Package


class Artifacts:
    """The bucket of a stage in one account and region. It is private, encrypted and versioned, and made if missing."""

    def __init__(
        self, s3: Client, stack: str, account: str, region: str, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._s3 = s3
        self._account = account
        self._region = region
        self._say = say
        # Names of buckets are the world's.
        self.bucket = f"{stack}-artifacts-{account}-{region}"

    def ensure_bucket(self) -> None:
        """Make the bucket if there is none."""
        if self._is_there(self._s3.head_bucket):
            return
        where = {} if self._region == "us-east-1" else {"LocationConstraint": self._region}
        self._s3.create_bucket(
            Bucket=self.bucket,
            ObjectOwnership="BucketOwnerEnforced",
            **({"CreateBucketConfiguration": where} if where else {}),
        )
        self._s3.put_public_access_block(
            Bucket=self.bucket,
            PublicAccessBlockConfiguration={
                "BlockPublicAcls": True,
                "BlockPublicPolicy": True,
                "IgnorePublicAcls": True,
                "RestrictPublicBuckets": True,
            },
        )
        self._s3.put_bucket_encryption(
            Bucket=self.bucket,
            ServerSideEncryptionConfiguration={
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            },
        )
        self._s3.put_bucket_versioning(Bucket=self.bucket, VersioningConfiguration={"Status": "Enabled"})
        self._say(f"Bucket {self.bucket}: made, for the code")

    def key(self, package: Package) -> str:
        """Return under which name a package is kept."""
        return f"{package.name}/{package.sha256}.zip"

    def uri(self, package: Package) -> str:
        """Return where CloudFormation finds a package."""
        return f"s3://{self.bucket}/{self.key(package)}"

    def upload(self, package: Package) -> None:
        """Bring a package there, unless it is there."""
        key = self.key(package)
        if self._is_there(self._s3.head_object, Key=key):
            return
        self._say(f"{package.name}: uploading {package.zip_bytes / 1_000_000:.1f} MB")
        self._s3.upload_file(str(package.path), self.bucket, key, ExtraArgs={"ExpectedBucketOwner": self._account})

    def upload_template(self, document: Document) -> str:
        """Bring a template there, and return its URL: a request to CloudFormation may hold only 51,200 bytes of one."""
        body = json.dumps(document, separators=(",", ":")).encode()
        key = f"template/{hashlib.sha256(body).hexdigest()}.json"
        if not self._is_there(self._s3.head_object, Key=key):
            self._s3.put_object(Bucket=self.bucket, Key=key, Body=body, ExpectedBucketOwner=self._account)
        return f"{self._s3.meta.endpoint_url}/{self.bucket}/{key}"

    def _is_there(self, head: Callable[..., object], **what: str) -> bool:
        try:
            # A bucket of this name that is somebody else's gets nothing from us.
            head(Bucket=self.bucket, ExpectedBucketOwner=self._account, **what)
        except ClientError as error:
            if code_of(error) in {"404", "NoSuchBucket", "NoSuchKey", "NotFound"}:
                return False
            raise
        return True
