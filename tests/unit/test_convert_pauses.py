"""The pauses between the attempts of a conversion."""

from datetime import timedelta

import pytest

from functions.convert.pauses import Pauses
from functions.shared.events import LONGEST_PAUSE


@pytest.mark.parametrize(("attempt", "seconds"), [(1, 10), (2, 40), (3, 160), (4, 300), (5, 300), (1_000_000, 300)])
def test_pauses_grow_to_a_longest_one(attempt: int, seconds: float):
    """Some troubles last for seconds, others for minutes; but a person waits for the end."""
    pauses = Pauses(first_s=10, uniform=lambda _least, most: most)

    assert pauses.after(attempt) == timedelta(seconds=seconds)


def test_a_pause_is_cut_by_up_to_a_half():
    """Those that failed together, in one outage, must not all come back together."""
    pauses = Pauses(first_s=10, uniform=lambda least, _most: least)

    assert pauses.after(1) == timedelta(seconds=5)


def test_two_pauses_differ_and_stay_within_their_bounds():
    """The chance comes from the standard library, unless a test brings its own."""
    pauses = {Pauses(first_s=10).after(2) for _ in range(50)}

    assert len(pauses) > 1
    assert all(timedelta(seconds=20) <= pause <= timedelta(seconds=40) for pause in pauses)


def test_no_setting_makes_a_pause_longer_than_the_longest():
    """The queue in which the message waits lets none wait for longer."""
    assert Pauses(first_s=86_400, uniform=lambda _least, most: most).after(1) == LONGEST_PAUSE
