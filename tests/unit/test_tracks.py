"""Which soundtrack the person wants."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.convert.failures import InvalidOption
from functions.convert.media.languages import same_language
from functions.convert.media.tracks import Choice, choices
from functions.shared.conversions import Track
from functions.shared.options import Options, Tracks

ROLES = ("commentary", "visual-impaired", "hearing-impaired", "descriptions")


def track(number: int, **changes: Any) -> Track:
    fields: dict[str, Any] = {
        "codec": "aac",
        "channels": 2,
        "sample_rate_hz": 48_000,
        "language": None,
        "title": None,
        "default": False,
        "role": None,
        "usable": True,
    }
    return Track(number=number, **{**fields, **changes})


def microphones(count: int, **changes: Any) -> list[Track]:
    """Return soundtracks as cameras write them, one for each channel."""
    return [track(number, **{"codec": "pcm_s16le", "channels": 1, **changes}) for number in range(1, count + 1)]


def order(*tracks: Track, options: Options | None = None) -> list[int | None]:
    return [choice.number for choice in choices(tracks, "matroska", options or Options())]


def asked(wanted: str, *tracks: Track) -> int | None:
    [number] = order(*tracks, options=Options(track=wanted))
    return number


def test_the_first_of_tracks_that_are_alike_is_chosen():
    """The author of a file puts the main sound first; the others are for when it is silent."""
    assert order(track(1), track(2), track(3)) == [1, 2, 3]


def test_what_cannot_be_decoded_is_never_chosen():
    """A film has AC-4 for new televisions beside AAC for the others."""
    assert order(track(1, usable=False, default=True, channels=6), track(2)) == [2]


@pytest.mark.parametrize("role", ROLES)
def test_sound_for_some_people_is_chosen_last(role):
    """Even if it is marked as the one to play and has more channels, nobody who says nothing wants it."""
    assert order(track(1, role=role, default=True, channels=6), track(2, channels=1)) == [2, 1]


def test_sound_for_some_people_is_chosen_if_there_is_no_other():
    """It is all the sound that there is."""
    assert order(track(1, role="commentary")) == [1]


def test_the_default_comes_before_channels():
    """The mark is a decision of somebody's; the number of channels is none."""
    assert order(track(1, channels=8), track(2, default=True, channels=2)) == [2, 1]


def test_more_channels_come_before_the_order():
    """The larger mix is the original, the smaller one was made of it."""
    assert order(track(1, channels=2), track(2, channels=6), track(3, channels=None)) == [2, 1, 3]


def test_the_language_of_the_person_decides_among_those_that_are_alike():
    """A film has the same mix in three languages, and none of them is marked."""
    tracks = track(1, language="eng"), track(2, language="deu"), track(3, channels=6)

    assert order(*tracks, options=Options(preferred_language="de")) == [2, 3, 1]


def test_the_default_comes_before_the_language_of_the_person():
    """The mark is a decision of somebody's; a person who wants another soundtrack can ask for it."""
    tracks = track(1, language="deu"), track(2, language="eng", default=True)

    assert order(*tracks, options=Options(preferred_language="de")) == [2, 1]


def test_what_looks_like_more_soundtracks_than_a_container_can_have_comes_last():
    """FLV has one; in a damaged one, bytes look like another that has more channels."""
    found = choices([track(1, channels=1), track(2, default=True, channels=6)], "flv", Options())

    assert [choice.number for choice in found] == [1, 2]


@given(
    st.lists(
        st.builds(
            track,
            st.just(0),
            channels=st.sampled_from([None, 1, 2, 6]),
            default=st.booleans(),
            role=st.sampled_from([None, *ROLES]),
            usable=st.booleans(),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_each_usable_track_gets_its_turn_exactly_once(found):
    """If those before it are silent, each is tried."""
    tracks = [track(number, **_fields(each)) for number, each in enumerate(found, 1)]

    assert sorted(filter(None, order(*tracks))) == [each.number for each in tracks if each.usable]


def _fields(found: Track) -> dict[str, Any]:
    return {name: getattr(found, name) for name in ("channels", "default", "role", "usable")}


def test_a_track_is_asked_for_by_its_number():
    """It is the number that the receipt lists, and says more than any mark."""
    assert asked("2", track(1, default=True), track(2, role="commentary"), track(3)) == 2


@pytest.mark.parametrize("stored", ["de", "deu", "ger", "de-AT", "DE"])
@pytest.mark.parametrize("wanted", ["de", "deu", "ger"])
def test_a_track_is_asked_for_by_any_name_of_its_language(stored, wanted):
    """Containers write languages in two letters or three, of which there are two kinds."""
    assert asked(wanted, track(1, language="eng"), track(2, language=stored)) == 2


@pytest.mark.parametrize(("one", "other"), [("en", "de"), ("nob", "nno"), ("gsw", "deu"), ("und", "en"), ("x", "")])
def test_other_languages_are_told_apart(one, other):
    """Names that begin alike, or are nearly the same, are different languages."""
    assert not same_language(one, other)


def test_of_several_in_the_language_the_best_is_taken():
    """The director's comments are in English, too."""
    english = [
        track(2, language="eng", role="commentary", default=True),
        track(3, language="en"),
        track(4, language="eng"),
    ]

    assert asked("eng", track(1, language="deu"), *english) == 3


def test_a_track_in_the_language_that_cannot_be_decoded_gives_way_to_one_that_can():
    """The person named a language, not a codec."""
    assert asked("eng", track(1, language="eng", usable=False), track(2, language="eng", role="descriptions")) == 2


def test_what_is_asked_for_has_no_alternative():
    """If it is silent, a language that the person did not ask for is no better."""
    assert len(choices([track(1), track(2)], "matroska", Options(track="1"))) == 1


@pytest.mark.parametrize("wanted", ["3", "0", "fra"])
def test_a_track_that_is_not_there_is_refused_with_those_that_are(wanted):
    """The person learns what to ask for instead."""
    with pytest.raises(InvalidOption, match=r"1 \(eng\), 2 \(language unknown\)") as refused:
        asked(wanted, track(1, language="eng"), track(2))

    assert refused.value.name == "track"


@pytest.mark.parametrize("wanted", ["2", "fra"])
def test_a_track_that_cannot_be_decoded_is_refused(wanted):
    """Another one instead would not be what was asked for."""
    with pytest.raises(InvalidOption, match="Soundtrack 2 "):
        asked(wanted, track(1), track(2, language="fra", usable=False))


@pytest.mark.parametrize("container", ["mxf", "mp4", "mp4-fragmented"])
@pytest.mark.parametrize(
    ("count", "used", "layout"),
    [(2, 2, "stereo"), (4, 2, "stereo"), (6, 6, "5.1"), (8, 2, "stereo"), (16, 2, "stereo")],
)
def test_channels_that_are_kept_apart_are_put_together(container, count, used, layout):
    """Editors and cameras write left and right as tracks of their own; of more, the first two are the mix."""
    [choice] = choices(microphones(count), container, Options())

    assert choice == Choice(tuple(microphones(count)[:used]), layout)
    assert choice.number == 1


@pytest.mark.parametrize(
    ("tracks", "container"),
    [
        pytest.param(microphones(2), "matroska", id="in a container of recorders"),
        pytest.param(microphones(1), "mxf", id="only one"),
        pytest.param(microphones(17), "mxf", id="too many"),
        pytest.param(microphones(2, channels=2), "mxf", id="stereo"),
        pytest.param(microphones(2, codec="aac"), "mp4", id="compressed"),
        pytest.param([microphones(2)[0], track(2, codec="pcm_s16le", channels=2)], "mxf", id="mono and stereo"),
        pytest.param([*microphones(1), track(2, codec="pcm_s24le", channels=1)], "mxf", id="two codecs"),
        pytest.param([microphones(1, title="Boom")[0], microphones(2, title="Lavalier")[1]], "mxf", id="named"),
        pytest.param([microphones(1, language="eng")[0], microphones(2, language="fra")[1]], "mxf", id="two languages"),
    ],
)
def test_recordings_that_stand_alone_are_not_put_together(tracks, container):
    """Two microphones, or two languages, on the two sides would be heard by nobody as they should."""
    found = choices(tracks, container, Options())

    assert [choice.layout for choice in found] == [None] * len(tracks)


def test_the_mark_to_play_by_default_does_not_keep_channels_apart():
    """Writers mark the first track of a file as the one to play."""
    left, right = microphones(2)
    [choice] = choices([track(1, codec="pcm_s16le", channels=1, default=True), right], "mp4", Options())

    assert choice.layout == "stereo"
    assert left.number == choice.number


def test_one_of_the_channels_can_be_asked_for():
    """The person wants the reporter's microphone, and not the camera's."""
    [choice] = choices(microphones(2), "mxf", Options(track="2"))

    assert choice == Choice((microphones(2)[1],))


def test_a_mix_has_all_that_can_be_decoded_and_no_number():
    """Recordings of several microphones are heard together."""
    tracks = [track(1), track(2, usable=False), track(3, role="commentary")]
    [choice] = choices(tracks, "matroska", Options(tracks=Tracks.MIX))

    assert choice == Choice((tracks[0], tracks[2]))
    assert choice.number is None


def test_a_mix_of_channels_apart_is_a_mix():
    """The person says that they are microphones, not left and right."""
    [choice] = choices(microphones(2), "mxf", Options(tracks=Tracks.MIX))

    assert choice.layout is None


def test_a_mix_of_one_is_that_one():
    """The receipt can name it."""
    [choice] = choices([track(1)], "matroska", Options(tracks=Tracks.MIX))

    assert choice.number == 1
