"""Signed download links."""

import hashlib
import string
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.shared.links import InvalidLink, Links
from tests.fakes.shared import FakeClock

KEYS = ("new secret", "old secret")
TOKEN_CHARACTERS = string.ascii_letters + string.digits + "-_.=+/"


def links(*keys: str, public_url: str = "https://example.com", clock: FakeClock | None = None) -> Links:
    return Links(keys or KEYS, public_url, clock or FakeClock())


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


TOKEN = token_of(links().make("c1", timedelta(days=1)).url)


def test_a_link_leads_to_the_conversion_it_was_made_for():
    assert links().read(TOKEN) == "c1"


@pytest.mark.parametrize("public_url", ["https://example.com/api", "https://example.com/api/"])
def test_a_link_begins_where_people_reach_the_service(public_url):
    """Behind a proxy that is a path, not only a host."""
    link = links(public_url=public_url).make("c1", timedelta(days=1))

    assert link.url.startswith("https://example.com/api/v1/downloads/")
    assert link.page_url == f"https://example.com/api/#/link/{token_of(link.url)}"


def test_a_link_fits_into_a_url_as_it_is():
    """It is sent by e-mail, and clients break URLs at odd characters."""
    assert set(TOKEN) <= set(string.ascii_letters + string.digits + "-_.")


def test_a_link_works_until_the_moment_it_says():
    clock = FakeClock(datetime(2026, 1, 1, 12, 0, 0, 900_000, tzinfo=UTC))
    link = links(clock=clock).make("c1", timedelta(seconds=60))

    clock.now = link.expires_at - timedelta(milliseconds=1)
    assert links(clock=clock).read(token_of(link.url)) == "c1"
    clock.now = link.expires_at
    with pytest.raises(InvalidLink):
        links(clock=clock).read(token_of(link.url))


@settings(deadline=None)
@given(position=st.integers(0, len(TOKEN) - 1), character=st.sampled_from(TOKEN_CHARACTERS))
def test_no_character_of_a_link_can_be_changed(position, character):
    """Not even one whose bits base64 throws away: a token that was revoked must not have a twin."""
    changed = TOKEN[:position] + character + TOKEN[position + 1 :]

    if changed == TOKEN:
        assert links().read(changed) == "c1"
    else:
        with pytest.raises(InvalidLink):
            links().read(changed)


@pytest.mark.parametrize("token", [TOKEN + "=", TOKEN + "==", TOKEN + "A", TOKEN[:-1], " " + TOKEN, "." + TOKEN])
def test_nothing_can_be_added_to_a_link_or_taken_away(token):
    with pytest.raises(InvalidLink):
        links().read(token)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(), max_size=60))
def test_any_other_text_is_no_link(token):
    with pytest.raises(InvalidLink):
        links().read(token)


def test_parts_of_two_links_do_not_make_a_third():
    """The signature covers the conversion and the time together."""
    other = token_of(links().make("c2", timedelta(days=1)).url)
    payload, signature = other.rpartition(".")[0], TOKEN.rpartition(".")[2]

    with pytest.raises(InvalidLink):
        links().read(f"{payload}.{signature}")


def test_keys_can_be_rotated_without_breaking_links():
    """The first key signs, all of them verify; a key that is gone verifies nothing."""
    assert links("newer secret", "new secret").read(TOKEN) == "c1"
    assert links("old secret", "new secret").read(TOKEN) == "c1"
    with pytest.raises(InvalidLink):
        links("old secret").read(TOKEN)


def test_a_link_to_a_zip_leads_to_its_conversions_in_their_order():
    link = links().make_zip(["c2", "c1"], timedelta(days=1))

    assert link.url.startswith("https://example.com/v1/downloads/zip/")
    assert links().read_zip(token_of(link.url)) == ["c2", "c1"]


def test_a_link_to_a_hundred_conversions_fits_where_links_are_pasted():
    """Messengers and servers cut off what is longer than a few thousand characters; our own gateway takes 10,240."""
    ids = [hashlib.sha256(str(number).encode()).hexdigest()[:32] for number in range(100)]

    assert len(links().make_zip(ids, timedelta(days=1)).url) < 4_000


def test_neither_kind_of_link_is_taken_for_the_other():
    """Who may have one MP3 must not get others."""
    of_a_zip = token_of(links().make_zip(["c1"], timedelta(days=1)).url)

    with pytest.raises(InvalidLink):
        links().read(of_a_zip)
    with pytest.raises(InvalidLink):
        links().read_zip(TOKEN)


def test_a_link_to_a_zip_expires():
    clock = FakeClock()
    token = token_of(links(clock=clock).make_zip(["c1"], timedelta(minutes=1)).url)
    clock.advance(minutes=1)

    with pytest.raises(InvalidLink):
        links(clock=clock).read_zip(token)
