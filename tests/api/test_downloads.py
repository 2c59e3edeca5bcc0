"""Downloads of MP3s: small ones, which a function answers, and large ones, which it cannot. A client does not care."""

from dataclasses import dataclass

import httpx
import pytest
from pymongo.database import Database

from functions.shared.conversions import Owner
from functions.shared.mongo import Document
from tests.api.services import Service
from tests.problems import problem
from tests.stored_mp3s import store_mp3
from tests.tus import MIB, TIMEOUT_S, Tus, noise, sha256

SIZES = {"small": 300_007, "large": 7 * MIB + 7}
LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"


@dataclass(frozen=True)
class Mp3:
    """An MP3, and what is known of it. `link` needs no login."""

    conversion_id: str
    content: bytes
    link: str
    etag: str
    last_modified: str

    def ask(self, method: str = "GET", **headers: str) -> httpx.Response:
        """Ask as a browser or `curl --location` does, which ask again where they are sent."""
        named = {name.replace("_", "-"): headers[name] for name in headers}
        return httpx.request(method, self.link, headers=named, follow_redirects=True, timeout=TIMEOUT_S)


@pytest.fixture(scope="module", params=SIZES)
def mp3(request: pytest.FixtureRequest, database: Database[Document], tus: Tus) -> Mp3:
    return stored_mp3(SIZES[request.param], database, tus)


@pytest.fixture(scope="module")
def small_mp3(database: Database[Document], tus: Tus) -> Mp3:
    """One of which the service answers everything itself. What a storage says of a strange Range is the storage's."""
    return stored_mp3(SIZES["small"], database, tus)


def stored_mp3(size: int, database: Database[Document], tus: Tus) -> Mp3:
    me = tus.person.me()
    content = noise(size)
    conversion_id = store_mp3(database, Owner(me.id, me.email), [content], "Grüße.mp4")
    link = tus.person.link(conversion_id, ttl_s=3600).url
    head = httpx.head(link, timeout=TIMEOUT_S)
    assert head.status_code == 200
    return Mp3(conversion_id, content, link, head.headers["etag"], head.headers["last-modified"])


def test_an_mp3_comes_whole_under_the_name_of_the_video(mp3: Mp3) -> None:
    """No byte of it is text, whatever a server on the way may think."""
    answer = mp3.ask()

    assert answer.status_code == 200
    assert sha256(answer.content) == sha256(mp3.content)
    assert answer.headers["content-type"] == "audio/mpeg"
    assert answer.headers["content-length"] == str(len(mp3.content))
    assert answer.headers["accept-ranges"] == "bytes"
    assert 'filename="Gru_e.mp3"' in answer.headers["content-disposition"]
    assert not [name for name in answer.headers if name.startswith("x-stored")]


def test_a_person_who_is_logged_in_needs_no_link(service: Service, tus: Tus, mp3: Mp3) -> None:
    """And her token is told to nobody but the service."""
    url = f"{service.url}/v1/conversions/{mp3.conversion_id}/mp3"
    headers = {"Authorization": f"Bearer {tus.token}"}
    with httpx.Client(headers=headers, follow_redirects=True, timeout=TIMEOUT_S) as client:
        assert sha256(client.get(url).content) == sha256(mp3.content)
        head = client.head(url)

    assert (head.status_code, head.headers["etag"]) == (200, mp3.etag)


def test_a_head_says_how_long_a_get_would_be(mp3: Mp3) -> None:
    """Download managers ask first."""
    head = mp3.ask("HEAD")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(mp3.content))
    assert head.headers["content-type"] == "audio/mpeg"
    assert head.headers["accept-ranges"] == "bytes"
    assert mp3.etag == f'"{sha256(mp3.content)}"'


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("bytes=0-0", slice(0, 1)),
        ("bytes=1000-200000", slice(1000, 200_001)),
        ("bytes=-1000", slice(-1000, None)),
        ("bytes=300000-", slice(300_000, None)),
        ("bytes=5-99999999999", slice(5, None)),
        ("bytes=1-", slice(1, None)),
    ],
)
def test_a_range_is_sent_alone(mp3: Mp3, value: str, part: slice) -> None:
    """Players seek, and downloads go on where they broke."""
    answer = mp3.ask(Range=value)

    first, last, _ = part.indices(len(mp3.content))
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{last - 1}/{len(mp3.content)}"
    assert answer.headers["content-length"] == str(last - first)
    assert answer.content == mp3.content[part]


@pytest.mark.parametrize("value", ["bytes=abc", "items=0-5", "bytes=5-1", "bytes=0-1,5-6"])
def test_a_range_that_is_none_gets_the_whole(small_mp3: Mp3, value: str) -> None:
    """RFC 9110, section 14.2: what cannot be understood is ignored. So are several ranges, which are a lot of work."""
    answer = small_mp3.ask(Range=value)

    assert (answer.status_code, answer.content) == (200, small_mp3.content)


def test_a_range_goes_on_only_with_the_file_that_was_begun(small_mp3: Mp3) -> None:
    """If-Range: else two files would be glued together."""
    for validator in (small_mp3.etag, small_mp3.last_modified):
        part = small_mp3.ask(Range="bytes=5000-19999", If_Range=validator)
        assert (part.status_code, part.content) == (206, small_mp3.content[5000:20_000])
    for validator in ('"another"', f"W/{small_mp3.etag}", LONG_AGO):
        whole = small_mp3.ask(Range="bytes=5000-19999", If_Range=validator)
        assert (whole.status_code, sha256(whole.content)) == (200, sha256(small_mp3.content))


def test_a_range_past_the_end_is_a_416_with_the_length(mp3: Mp3) -> None:
    """With it `curl -C -` sees that it has all."""
    for value in (f"bytes={len(mp3.content)}-", "bytes=99999999999999999999-", "bytes=-0"):
        answer = mp3.ask(Range=value)
        assert problem(answer) == (416, "range-not-satisfiable")
        assert answer.headers["content-range"] == f"bytes */{len(mp3.content)}"


def test_what_the_client_has_is_not_sent_again(mp3: Mp3) -> None:
    for condition in ({"If_None_Match": mp3.etag}, {"If_Modified_Since": mp3.last_modified}):
        answer = mp3.ask(**condition)
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == mp3.etag


def test_a_condition_that_does_not_hold_is_a_412(mp3: Mp3) -> None:
    for condition in ({"If_Match": '"another"'}, {"If_Unmodified_Since": LONG_AGO}):
        assert problem(mp3.ask(Range="bytes=5000-", **condition)) == (412, "precondition-failed")


def test_a_link_that_was_tampered_with_is_a_403(
    service: Service, mp3: Mp3, database: Database[Document], tus: Tus
) -> None:
    """Also one that is put together from two good ones."""
    me = tus.person.me()
    other = tus.person.link(store_mp3(database, Owner(me.id, me.email), [b"other"]), ttl_s=3600).url
    tokens = [link.rpartition("/")[2] for link in (mp3.link, other)]
    mine, theirs = [token.split(".") for token in tokens]
    swapped = [".".join([*mine[:place], *theirs[place:]]) for place in range(1, len(mine))]
    swapped = [token for token in swapped if token not in tokens]

    assert swapped
    for token in (*swapped, tokens[0][:-1], f"{tokens[0]}=", f"A{tokens[0]}", "x"):
        url = f"{service.url}/v1/downloads/{token}"
        assert problem(httpx.get(url, timeout=TIMEOUT_S)) == (403, "invalid-link")
        assert httpx.head(url, timeout=TIMEOUT_S).status_code == 403


def test_a_link_lasts_as_long_as_was_asked_for(web: httpx.Client, mp3: Mp3) -> None:
    """Within bounds, which the refusal names."""
    url = f"/v1/conversions/{mp3.conversion_id}/link"
    for body in ({"ttl_seconds": 59}, {"ttl_seconds": 30 * 24 * 3600 + 1}, {"ttl_seconds": "a day"}):
        answer = web.post(url, json=body)
        assert problem(answer) == (422, "invalid-input")
        assert [error["field"] for error in answer.json()["errors"]] == ["ttl_seconds"]

    made = web.post(url, json={"ttl_seconds": 60})

    assert made.status_code == 201
    assert httpx.head(made.json()["url"], timeout=TIMEOUT_S).status_code == 200


def test_anothers_mp3_is_answered_like_one_that_is_missing(service: Service, mp3: Mp3, stranger: Tus) -> None:
    """For every verb, or an id would tell whether it exists."""
    headers = {"Authorization": f"Bearer {stranger.token}"}
    for method, rest in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/retry"),
        ("POST", "/link"),
        ("GET", "/mp3"),
        ("HEAD", "/mp3"),
    ]:
        anothers, missing, malformed = (
            httpx.request(method, f"{service.url}/v1/conversions/{each}{rest}", headers=headers, timeout=TIMEOUT_S)
            for each in (mp3.conversion_id, "0" * 32, "no-id-at-all")
        )
        assert anothers.status_code == missing.status_code == malformed.status_code == 404, (method, rest)
        assert anothers.content == missing.content == malformed.content
        assert method == "HEAD" or problem(anothers) == (404, "not-found")

    assert mp3.ask("HEAD").status_code == 200


def test_an_mp3_that_is_not_there_yet_is_a_409(web: httpx.Client, tus: Tus) -> None:
    """And so is one that never will be."""
    unfit = tus.store(b"no video").rpartition("/")[2]
    tus.person.wait(unfit, timeout_s=60)

    assert problem(web.get(f"/v1/conversions/{unfit}/mp3")) == (409, "not-ready")
    assert web.head(f"/v1/conversions/{unfit}/mp3").status_code == 409
    assert problem(web.post(f"/v1/conversions/{unfit}/link")) == (409, "not-ready")
