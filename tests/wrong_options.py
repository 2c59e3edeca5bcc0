"""Options that are refused, by form and by tus alike."""

from typing import NamedTuple


class Wrong(NamedTuple):
    """What is sent, and the fields that the answer names with a part of what it says of each."""

    sent: dict[str, str]
    told: dict[str, str]


_TIME = "hh:mm:ss.mmm"
_COPY = "keeps the sound as it is"

WRONG = {
    "an unknown quality": Wrong({"quality": "best"}, {"quality": "auto, copy, v0, v2, v4, 128, 192, 256, 320"}),
    "a misspelt option": Wrong({"qualty": "v0"}, {"qualty": "quality"}),
    "an option in capitals": Wrong({"Start": "3"}, {"Start": "start"}),
    "track 0": Wrong({"track": "0"}, {"track": "from 1 to 64"}),
    "track 65": Wrong({"track": "65"}, {"track": "from 1 to 64"}),
    "a negative track": Wrong({"track": "-1"}, {"track": "from 1 to 64"}),
    "a language in words": Wrong({"track": "German"}, {"track": "eng, de or pt-BR"}),
    "a language by its name": Wrong({"preferred_language": "German"}, {"preferred_language": "eng, de or pt-BR"}),
    "a track and a mix": Wrong({"track": "2", "tracks": "mix"}, {"track": "not both", "tracks": "not both"}),
    "tracks that are not mixed": Wrong({"tracks": "all"}, {"tracks": "mix"}),
    "a start after the end": Wrong({"start": "90", "end": "1:00"}, {"end": "after the start"}),
    "a start at the end": Wrong({"start": "60", "end": "1:00"}, {"end": "after the start"}),
    "an end at 0": Wrong({"end": "0"}, {"end": "after the start"}),
    "a negative start": Wrong({"start": "-1"}, {"start": _TIME}),
    "a start that is no number": Wrong({"start": "nan"}, {"start": _TIME}),
    "an infinite end": Wrong({"end": "inf"}, {"end": _TIME}),
    "a start with an exponent": Wrong({"start": "1e3"}, {"start": _TIME}),
    "a start in words": Wrong({"start": "later"}, {"start": _TIME}),
    "a minute of 60 seconds": Wrong({"start": "1:60"}, {"start": _TIME}),
    "an hour of 60 minutes": Wrong({"end": "1:60:00"}, {"end": _TIME}),
    "an end after 100 hours": Wrong({"end": "360000"}, {"end": "less than 100 hours"}),
    "two wrong times": Wrong({"start": "x", "end": "y"}, {"start": _TIME, "end": _TIME}),
    "a loudness of 0": Wrong({"loudness": "0"}, {"loudness": "from -23 to -9"}),
    "a loudness that is too low": Wrong({"loudness": "-23.1"}, {"loudness": "from -23 to -9"}),
    "a loudness that is too high": Wrong({"loudness": "-8.9"}, {"loudness": "from -23 to -9"}),
    "a loudness without its sign": Wrong({"loudness": "16"}, {"loudness": "from -23 to -9"}),
    "a loudness that is no number": Wrong({"loudness": "nan"}, {"loudness": "from -23 to -9"}),
    "six channels": Wrong({"channels": "6"}, {"channels": "auto, mono, stereo"}),
    "a sample rate of a studio": Wrong({"sample_rate": "96000"}, {"sample_rate": "44100, 48000"}),
    "a sample rate in kHz": Wrong({"sample_rate": "44.1"}, {"sample_rate": "44100, 48000"}),
    "damage that is repaired": Wrong({"damaged": "repair"}, {"damaged": "refuse, accept"}),
    "a cover that is a file": Wrong({"cover": "front.jpg"}, {"cover": "auto, none"}),
    "a cover before the start": Wrong({"cover": "-5"}, {"cover": _TIME}),
    "chapters that are made up": Wrong({"chapters": "10"}, {"chapters": "keep, none"}),
    "a title of two lines": Wrong({"title": "one\ntwo"}, {"title": "line breaks"}),
    "a title with a NUL": Wrong({"title": "a\x00b"}, {"title": "control characters"}),
    "a title of 501 characters": Wrong({"title": "x" * 501}, {"title": "500 characters"}),
    "a comment of 1001 characters": Wrong({"comment": "x" * 1001}, {"comment": "1000 characters"}),
    "the year 0": Wrong({"year": "0"}, {"year": "from 1 to 9999"}),
    "a year with five digits": Wrong({"year": "12014"}, {"year": "from 1 to 9999"}),
    "a day that does not exist": Wrong({"year": "2014-02-30"}, {"year": "YYYY-MM-DD"}),
    "a date in German": Wrong({"year": "08.11.2014"}, {"year": "YYYY-MM-DD"}),
    "track number 0": Wrong({"track_number": "0/12"}, {"track_number": "3/12"}),
    "track 13 of 12": Wrong({"track_number": "13/12"}, {"track_number": "3/12"}),
    "a copy of an excerpt": Wrong({"quality": "copy", "start": "1", "end": "2"}, {"start": _COPY, "end": _COPY}),
    "a copy that is made louder": Wrong({"quality": "copy", "loudness": "-16"}, {"loudness": _COPY}),
    "a copy in mono": Wrong({"quality": "copy", "channels": "mono"}, {"channels": _COPY}),
    "a copy at another rate": Wrong({"quality": "copy", "sample_rate": "48000"}, {"sample_rate": _COPY}),
    "a copy of a mix": Wrong({"quality": "copy", "tracks": "mix"}, {"tracks": _COPY}),
    "everything at once": Wrong(
        {"quality": "best", "track": "0", "loudness": "0", "year": "x", "title": "ok"},
        {"quality": "copy", "track": "from 1", "loudness": "-23", "year": "9999"},
    ),
}


def told_as(wrong: Wrong, errors: list[dict[str, str]]) -> bool:
    """Return whether the errors of an answer are those that `wrong` expects."""
    messages = {error["field"]: error["message"] for error in errors}
    return messages.keys() == wrong.told.keys() and all(part in messages[name] for name, part in wrong.told.items())
