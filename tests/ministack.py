"""ministack, an AWS on this machine that needs no container."""

import contextlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import boto3
import httpx
import pytest

from infra.local.processes import LeashedProcess, Stopping, free_port, wait_until_ready

REGION: Final = "eu-central-1"
# After each call of a function it waits 50 ms for a line in its log, which would be half of the time of a request. And
# when a function has raised, it ends its process, which AWS does not: to start the authorizer again after each token
# that it refuses takes seconds. Without Accept it sends base64 as it is, though such a client takes anything (RFC 9110,
# 12.5.1), and Chromium sends none for a link with `download`. What API Gateway does then has not been seen.
_START: Final = """
import runpy
import threading
import time
from ministack.core import lambda_runtime
from ministack.core.lambda_runtime import Worker
from ministack.services import apigateway_v1

first_line_s, *others = Worker._drain_stderr_bounded.__defaults__
Worker._drain_stderr_bounded.__defaults__ = (first_line_s / 25, *others)

invoke, signal, collect = Worker.invoke, lambda_runtime._signal, lambda_runtime._collect
calling = threading.local()

def signal_later(process):
    if (ending := getattr(calling, "ending", None)) is None:
        signal(process)
    else:
        ending.append(process)

def collect_later(process, deadline):
    if getattr(calling, "ending", None) is None:
        collect(process, deadline)

def invoke_and_go_on(worker, *args, **kwargs):
    calling.ending = ending = []
    try:
        answer = invoke(worker, *args, **kwargs)
    finally:
        calling.ending = None
    for process in ending:
        # Only one that goes on can say where it raised.
        if "trace" in answer and process.poll() is None:
            worker._proc = process
        else:
            signal(process)
            collect(process, time.monotonic() + lambda_runtime._REAP_GRACE)
    return answer

Worker.invoke = invoke_and_go_on
lambda_runtime._signal, lambda_runtime._collect = signal_later, collect_later
matches = apigateway_v1._media_type_matches
apigateway_v1._media_type_matches = lambda media_type, kinds: matches(media_type or "*/*", kinds)
runpy.run_module("ministack", run_name="__main__")
"""


@contextlib.contextmanager
def running_ministack(folder: Path) -> Iterator[dict[str, str]]:
    """Run an empty one, and yield the environment variables by which AWS's clients find it."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = LeashedProcess(
        "ministack",
        [sys.executable, "-c", _START],
        environ={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            "LOG_LEVEL": "WARNING",
            "MINISTACK_REGION": REGION,
        },
        log=folder / "ministack.log",
    )
    wait_until_ready(process, lambda: _answers(url), timeout_s=60, advice="Look into its log.", stopping=Stopping())
    try:
        # It knows this access key, and checks what is signed with it.
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }
    finally:
        process.stop()
        # Each of its workers has unpacked a function: hundreds of megabytes, if that was convert.
        for unpacked in folder.glob("ministack-lambda-*"):
            shutil.rmtree(unpacked)


def use_aws(environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the clients of this process find an AWS in these environment variables, and in nothing else."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    # It keeps the credentials that it found first.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/_ministack/health", timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
