"""The list of a person's conversions, page by page."""

import httpx
import pytest
from pymongo.database import Database

from functions.shared.conversions import Owner
from functions.shared.mongo import Document
from tests.problems import problem
from tests.stored_mp3s import store_mp3
from tests.tus import Tus
from video2mp3 import State

COUNT = 7


@pytest.fixture(scope="module")
def ids(database: Database[Document], tus: Tus) -> list[str]:
    """Completed conversions, newest first, and one that failed on top."""
    me = tus.person.me()
    completed = [store_mp3(database, Owner(me.id, me.email), [b"mp3"], f"{number}.mp4") for number in range(COUNT)]
    failed = tus.store(b"no video").rpartition("/")[2]
    tus.person.wait(failed, timeout_s=60)
    return [failed, *reversed(completed)]


def test_pages_follow_each_other_newest_first(web: httpx.Client, ids: list[str]) -> None:
    """Nothing comes twice and nothing is left out."""
    pages, query = [], {"limit": "3"}
    while True:
        answer = web.get("/v1/conversions", params=query)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        pages.append([item["id"] for item in answer.json()["items"]])
        if answer.json()["next_cursor"] is None:
            break
        query["cursor"] = answer.json()["next_cursor"]

    assert [len(page) for page in pages] == [3, 3, 2]
    assert [each for page in pages for each in page] == ids


def test_a_list_can_be_of_one_state(tus: Tus, ids: list[str]) -> None:
    assert [each.id for each in tus.person.conversions(state=State.FAILED)] == ids[:1]
    assert [each.id for each in tus.person.conversions(state=State.COMPLETED)] == ids[1:]
    assert list(tus.person.conversions(state=State.QUEUED)) == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "101"}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"state": "done"}, "state"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "\N{SNOWMAN}"}, "cursor"),
    ],
)
def test_a_question_that_cannot_be_answered_names_the_parameter(
    web: httpx.Client, query: dict[str, str], field: str
) -> None:
    answer = web.get("/v1/conversions", params=query)

    assert problem(answer) == (422, "invalid-input")
    assert [error["field"] for error in answer.json()["errors"]] == [field]


def test_a_stranger_sees_only_what_is_hers(stranger: Tus, ids: list[str]) -> None:
    """Also with the cursor of somebody else, which is no key."""
    assert list(stranger.person.conversions()) == []
