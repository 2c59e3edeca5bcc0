"""Logs: one record is one line, and says whose request it is about."""

import io
import itertools
import json
import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aws_lambda_powertools import Logger

from functions.shared.logs import get_logger, log_keys
from functions.shared.settings import InvalidSettings

FORGED = "x\r\n12:30:01 INFO auth: logged in user_id=1\x1b[2K\x9b31m\u2028\u202e"
_NUMBERS = itertools.count()


@dataclass
class Log:
    """A logger, and what it wrote."""

    logger: Logger
    stream: io.StringIO

    @property
    def text(self) -> str:
        return self.stream.getvalue()

    @property
    def line(self) -> str:
        [line] = self.text.split("\n")[:-1]
        return line


MakeLog = Callable[[str], Log]


@pytest.fixture
def make_log(monkeypatch: pytest.MonkeyPatch) -> MakeLog:
    def make(log_format: str) -> Log:
        monkeypatch.setenv("LOG_FORMAT", log_format)
        stream = io.StringIO()
        # Loggers of the same name share where they write to.
        logger = get_logger(f"test-logs-{next(_NUMBERS)}")
        logger.registered_handler.setStream(stream)  # type: ignore[attr-defined]
        return Log(logger, stream)

    return make


def test_a_text_line_has_time_level_service_message_and_keys(make_log: MakeLog):
    """It is what a person reads at a laptop."""
    log = make_log("text")

    log.logger.info("accepted", extra={"conversion_id": "c1", "bytes": 14})

    assert re.fullmatch(r"\d\d:\d\d:\d\d INFO    test-logs-\d+: accepted conversion_id=c1 bytes=14", log.line)


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_one_record_is_one_line_whatever_is_in_it(make_log: MakeLog, log_format):
    """A file name or an answer of a foreign server could otherwise write lines of its own, or command a terminal."""
    log = make_log(log_format)

    log.logger.warning("cannot read %s", FORGED, extra={"filename_sent": FORGED, "all": [FORGED], FORGED: 1})

    assert "\r" not in log.line
    assert "\x1b" not in log.line
    assert "logged in" in log.line


def test_a_text_line_shows_what_does_not_print_as_an_escape(make_log: MakeLog):
    """Left out it would not be known that somebody tried."""
    log = make_log("text")

    log.logger.info("Żółć %s", FORGED, extra={"name_sent": FORGED})

    assert log.line.isprintable()
    escape = r"x\r\n12:30:01 INFO auth: logged in user_id=1\x1b[2K\x9b31m\u2028\u202e"
    assert f": Żółć {escape} name_sent={escape}" in log.line


def test_a_traceback_follows_its_line_once(make_log: MakeLog):
    """A traceback is of many lines, and to have it twice hides the next line."""
    log = make_log("text")

    try:
        _fail()
    except ValueError:
        log.logger.exception("failed", extra={"conversion_id": "c1"})

    first, *traceback = log.text.splitlines()
    assert first.endswith(": failed conversion_id=c1")
    assert traceback[0] == "Traceback (most recent call last):"
    assert traceback[-2:] == ["ValueError: broken in here", "and a note"]
    assert log.text.count("broken in here") == 1
    assert log.text.count("and a note") == 1


def test_a_message_of_uvicorn_is_written_once(make_log: MakeLog):
    """It adds its message a second time, with colours."""
    log = make_log("text")
    record = logging.makeLogRecord(
        {
            "msg": "Started server process [%d]",
            "args": (7,),
            "levelname": "INFO",
            "color_message": "Started server process [\x1b[36m%d\x1b[0m]",
        }
    )

    log.logger.registered_handler.handle(record)

    assert log.line.endswith(": Started server process [7]")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_each_thread_logs_its_own_request(make_log: MakeLog, log_format):
    """Threads share one logger; a wrong request id would lead whoever reads the log astray."""
    log = make_log(log_format)
    together = threading.Barrier(4, timeout=10)

    def work(number: int) -> None:
        with log_keys(log.logger, request_id=f"request-{number}"):
            together.wait()
            log.logger.info("inside %d", number)
            together.wait()
        log.logger.info("after %d", number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)

    lines = log.text.splitlines()
    assert len(lines) == 8
    for number in range(4):
        [inside] = [line for line in lines if f"inside {number}" in line]
        [after] = [line for line in lines if f"after {number}" in line]
        assert re.findall(r"request-\d", inside) == [f"request-{number}"]
        assert "request" not in after


def test_a_json_line_is_json_with_the_traceback_in_it(make_log: MakeLog):
    """Programs read it line by line."""
    log = make_log("json")

    try:
        _fail()
    except ValueError:
        log.logger.exception("failed")

    line = json.loads(log.line)
    assert line["message"] == "failed"
    assert line["exception"].startswith("Traceback (most recent call last):")


def _fail() -> None:
    error = ValueError("broken in here")
    error.add_note("and a note")
    raise error


@pytest.mark.parametrize("level", ["verbose", "10", " "])
def test_a_level_that_is_none_is_told(level: str, monkeypatch: pytest.MonkeyPatch):
    """It is a word that people guess, and every process reads it first."""
    monkeypatch.setenv("LOG_LEVEL", level)

    with pytest.raises(InvalidSettings, match=r"^The environment variable LOG_LEVEL cannot be used"):
        get_logger("any")


@pytest.mark.parametrize("process", ["infra.gateway", "infra.host auth", "infra.triggers notify", "infra.local run"])
def test_a_process_that_cannot_log_says_so_in_a_sentence(process: str, tmp_path: Path):
    """A traceback in a container that starts again and again is read by nobody."""
    ended = subprocess.run(
        [sys.executable, "-m", *process.split()],
        env={"LOG_LEVEL": "verbose", "V2M_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 1
    assert "LOG_LEVEL cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr
