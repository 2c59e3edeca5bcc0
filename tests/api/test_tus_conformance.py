"""What every server must do that speaks tus 1.0.0: the core protocol, in plain HTTP.

https://tus.io/protocols/resumable-upload. A docstring begins with the section that demands it.
"""

import pytest

from tests.tus import BYTES, MAX_UPLOAD_BYTES, UPLOADS, Answer, Headers, Tus

HELLO = b"hello world"
NOWHERE = f"{UPLOADS}/00000000000000000000000000000000"
# The methods that need an upload, each with what else it needs.
METHODS: dict[str, Headers] = {
    "HEAD": {},
    "PATCH": {"Upload-Offset": "0", "Content-Type": BYTES},
    "DELETE": {},
}


def ask_for_something(tus: Tus, method: str, path: str, headers: Headers | None = None) -> Answer:
    body = HELLO if method == "PATCH" else b""
    return tus.ask(method, path, {**METHODS[method], **(headers or {})}, body)


def listed(answer: Answer, name: str) -> list[str]:
    value = answer.header(name)
    assert value is not None, answer
    return [each.strip() for each in value.split(",")]


# OPTIONS


@pytest.mark.parametrize("path", [UPLOADS, NOWHERE])
def test_options_tell_what_the_server_can(tus: Tus, path: str) -> None:
    """OPTIONS; Tus-Version, Tus-Extension, Tus-Max-Size: a client asks before it has a login."""
    answer = tus.ask("OPTIONS", path, {"Authorization": None, "Tus-Resumable": None})

    assert (answer.status, answer.body) == (204, b"")
    assert listed(answer, "Tus-Version") == ["1.0.0"]
    assert set(listed(answer, "Tus-Extension")) == {
        *("creation", "creation-with-upload", "creation-defer-length", "termination", "expiration", "checksum"),
        "concatenation",
    }
    assert answer.header("Tus-Max-Size") == str(MAX_UPLOAD_BYTES)


def test_options_tell_checksums_in_lower_case_sha1_among_them(tus: Tus) -> None:
    """Checksum; Tus-Checksum-Algorithm: SHA-1 is the one that all clients can count on."""
    algorithms = listed(tus.ask("OPTIONS"), "Tus-Checksum-Algorithm")

    assert set(algorithms) == {"sha1", "sha256", "md5", "crc32"}


@pytest.mark.parametrize("version", [None, "0.2.2", "2.0.0", "nonsense"])
def test_options_ignore_the_version_of_the_client(tus: Tus, version: str | None) -> None:
    """OPTIONS: the header MUST be ignored, since this is how a client learns which version to speak."""
    assert tus.ask("OPTIONS", UPLOADS, {"Tus-Resumable": version}).status == 204


# Tus-Resumable


@pytest.mark.parametrize("version", [None, "0.2.2", "2.0.0", ""])
@pytest.mark.parametrize("method", METHODS)
def test_another_version_is_told_ours_and_does_nothing(tus: Tus, method: str, version: str | None) -> None:
    """Tus-Resumable: 412 with Tus-Version, and the request MUST NOT be processed."""
    path = tus.create(len(HELLO))

    answer = ask_for_something(tus, method, path, {"Tus-Resumable": version})

    assert answer.status == 412
    assert answer.header("Tus-Version") == "1.0.0"
    assert tus.offset(path) == 0


@pytest.mark.parametrize("version", [None, "0.2.2", "2.0.0"])
def test_another_version_creates_nothing(tus: Tus, version: str | None) -> None:
    """Tus-Resumable: 412 with Tus-Version, and there is no upload afterwards."""
    answer = tus.ask("POST", UPLOADS, {"Tus-Resumable": version, "Upload-Length": "100"})

    assert answer.status == 412
    assert answer.header("Tus-Version") == "1.0.0"
    assert answer.header("Location") is None
    assert answer.code == "unsupported-version"


def test_every_answer_tells_the_version(tus: Tus) -> None:
    """Tus-Resumable: MUST be in every response, also in a refusal, whose reader is a tus client too."""
    path = tus.create(len(HELLO))
    answers = [
        tus.ask("POST", UPLOADS, {"Upload-Length": "5"}),
        tus.ask("POST", UPLOADS, {}),
        tus.ask("POST", UPLOADS, {"Upload-Length": str(MAX_UPLOAD_BYTES + 1)}),
        tus.ask("POST", UPLOADS, {"Tus-Resumable": "2.0.0"}),
        tus.head(path),
        tus.head(NOWHERE),
        tus.patch(path, 3, HELLO),
        tus.patch(path, 0, HELLO, {"Content-Type": "text/plain"}),
        tus.patch(path, 0, HELLO * 2),
        tus.patch(path, 0, HELLO),
        tus.patch(NOWHERE, 0, HELLO),
        tus.ask("DELETE", path),
        tus.ask("DELETE", path),
    ]

    assert [answer.status for answer in answers] == [201, 400, 413, 412, 200, 404, 409, 415, 413, 204, 404, 204, 404]
    assert [answer.header("Tus-Resumable") for answer in answers] == ["1.0.0"] * len(answers)


# HEAD


def test_head_tells_offset_and_length_from_the_beginning(tus: Tus) -> None:
    """HEAD: Upload-Offset MUST always be there, even if it is 0; Upload-Length if it is known."""
    answer = tus.head(tus.create(100))

    assert answer.status == 200
    assert (answer.header("Upload-Offset"), answer.header("Upload-Length")) == ("0", "100")
    assert answer.header("Upload-Defer-Length") is None


def test_head_tells_how_far_an_upload_is_and_when_it_is_whole(tus: Tus) -> None:
    """HEAD: Upload-Offset MUST be there even if the upload is complete."""
    path = tus.create(len(HELLO))

    tus.patch(path, 0, HELLO[:4])
    assert tus.offset(path) == 4
    tus.patch(path, 4, HELLO[4:])

    answer = tus.head(path)
    assert (answer.status, answer.offset, answer.header("Upload-Length")) == (200, 11, "11")


def test_nobody_may_keep_the_answer_to_head(tus: Tus) -> None:
    """HEAD: Cache-Control: no-store; a proxy's old offset would send the client into a 409 for ever."""
    assert "no-store" in (tus.head(tus.create(100)).header("Cache-Control") or "")


@pytest.mark.parametrize("method", METHODS)
def test_what_does_not_exist_is_a_404(tus: Tus, method: str) -> None:
    """HEAD, PATCH: 404, and no Upload-Offset, by which tus clients tell that there is nothing to resume."""
    answer = ask_for_something(tus, method, NOWHERE)

    assert answer.status == 404
    assert answer.header("Upload-Offset") is None


# PATCH


def test_the_new_offset_is_the_sum_of_the_old_one_and_the_bytes(tus: Tus) -> None:
    """PATCH: 204 with Upload-Offset; several requests one after the other make up the file."""
    path = tus.create(len(HELLO))

    offsets = []
    for start, end in ((0, 1), (1, 6), (6, 6), (6, 11)):
        answer = tus.patch(path, start, HELLO[start:end])
        assert (answer.status, answer.body) == (204, b"")
        offsets.append(answer.offset)

    assert offsets == [1, 6, 6, 11]


@pytest.mark.parametrize("offset", [0, 3, 5, 11, 12, 10**15])
def test_another_offset_is_a_conflict_and_changes_nothing(tus: Tus, offset: int) -> None:
    """PATCH: 409 if the offsets do not match, without modifying the upload. It tells where to go on."""
    path = tus.create(len(HELLO))
    tus.patch(path, 0, HELLO[:4])

    answer = tus.patch(path, offset, b"other")

    assert answer.status == 409
    assert answer.code == "wrong-offset"
    assert answer.offset == tus.offset(path) == 4


@pytest.mark.parametrize("offset", [None, "", "-1", "-0", "+4", "4.0", "0x4", "four", "4,4", "9" * 5000])
def test_an_offset_that_is_no_number_is_refused(tus: Tus, offset: str | None) -> None:
    """Upload-Offset: the value MUST be a non-negative integer. Two readers must not understand two things."""
    path = tus.create(len(HELLO))
    tus.patch(path, 0, HELLO[:4])

    answer = tus.patch(path, 4, HELLO[4:], {"Upload-Offset": offset})

    assert answer.status == 400
    assert tus.offset(path) == 4


@pytest.mark.parametrize(
    "kind", [None, "", "text/plain", "application/octet-stream", "application/offset", "application/json"]
)
def test_bytes_of_another_content_type_are_refused(tus: Tus, kind: str | None) -> None:
    """PATCH: all requests MUST use application/offset+octet-stream, else 415."""
    path = tus.create(len(HELLO))

    answer = tus.patch(path, 0, HELLO, {"Content-Type": kind})

    assert answer.status == 415
    assert tus.offset(path) == 0


@pytest.mark.parametrize("kind", ["Application/Offset+Octet-Stream", f"{BYTES}; charset=binary"])
def test_the_content_type_is_read_as_http_reads_it(tus: Tus, kind: str) -> None:
    """PATCH: case and parameters say nothing in a media type (RFC 9110, section 8.3.1)."""
    path = tus.create(len(HELLO))

    assert tus.patch(path, 0, HELLO, {"Content-Type": kind}).status == 204


def test_more_bytes_than_announced_are_refused(tus: Tus) -> None:
    """PATCH: tusd and all others answer 413; an upload never grows beyond its length."""
    path = tus.create(len(HELLO))
    tus.patch(path, 0, HELLO[:4])

    answer = tus.patch(path, 4, HELLO[4:] + b"!")

    assert (answer.status, answer.code) == (413, "too-large")
    assert tus.offset(path) <= len(HELLO)


def test_more_bytes_than_announced_are_refused_without_a_content_length(tus: Tus) -> None:
    """PATCH: here only the bytes themselves tell."""
    path = tus.create(len(HELLO))

    answer = tus.patch(path, 0, iter([HELLO[:6], HELLO[6:], b"!", b"!" * 1000]))

    assert answer.status == 413
    assert tus.offset(path) <= len(HELLO)


def test_a_whole_upload_takes_no_more_bytes(tus: Tus) -> None:
    """PATCH: what was accepted stays as it is."""
    path = tus.store(HELLO)

    assert tus.patch(path, len(HELLO), b"!").status in {403, 409, 413}
    assert tus.patch(path, 0, HELLO).status in {403, 409}
    assert tus.offset(path) == len(HELLO)


def test_bytes_in_the_chunked_transfer_encoding_are_the_same_bytes(tus: Tus) -> None:
    """PATCH: nothing demands a Content-Length, and a client that streams has none."""
    path = tus.create(len(HELLO))

    answer = tus.patch(path, 0, iter([HELLO[:1], HELLO[1:7], HELLO[7:]]))

    assert (answer.status, answer.offset) == (204, len(HELLO))


# X-HTTP-Method-Override


def test_a_post_may_mean_patch(tus: Tus) -> None:
    """X-HTTP-Method-Override: Flash, old proxies and some firewalls know only GET and POST."""
    path = tus.create(len(HELLO))
    headers = {"X-HTTP-Method-Override": "PATCH", "Upload-Offset": "0", "Content-Type": BYTES}

    answer = tus.ask("POST", path, headers, HELLO[:5])

    assert (answer.status, answer.offset) == (204, 5)
    assert tus.offset(path) == 5


def test_a_post_may_mean_head_or_delete(tus: Tus) -> None:
    """X-HTTP-Method-Override: the actual method is ignored."""
    path = tus.create(100)

    head = tus.ask("POST", path, {"X-HTTP-Method-Override": "HEAD"})
    deleted = tus.ask("POST", path, {"X-HTTP-Method-Override": "DELETE"})

    assert (head.status, head.offset, head.header("Upload-Length")) == (200, 0, "100")
    assert deleted.status == 204
    assert tus.head(path).status in {404, 410}


@pytest.mark.parametrize("method", ["PATCH", "HEAD", "DELETE"])
def test_the_other_methods_may_mean_something_else_too(tus: Tus, method: str) -> None:
    """X-HTTP-Method-Override: MUST be interpreted as the method if it is there, whatever the actual method."""
    path = tus.create(100)
    kept = tus.ask(method, path, {"X-HTTP-Method-Override": "HEAD"})
    assert (kept.status, kept.offset) == (200, 0)

    assert tus.ask(method, path, {"X-HTTP-Method-Override": "DELETE"}).status == 204
    assert tus.head(path).status in {404, 410}


@pytest.mark.parametrize("meant", ["", "GET", "PUT", "patchwork", "POST"])
def test_a_post_to_an_upload_that_means_nothing_does_nothing(tus: Tus, meant: str) -> None:
    """X-HTTP-Method-Override: what it names has to exist."""
    path = tus.create(100)

    assert tus.ask("POST", path, {"X-HTTP-Method-Override": meant}).status in {400, 405}
    assert tus.offset(path) == 0
