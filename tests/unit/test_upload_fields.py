"""How a video was sent: what a client says about it in a form or in tus metadata."""

import pytest

from functions.shared.conversions import Sent
from functions.shared.options import Options, Quality
from functions.shared.problems import InvalidInput
from functions.upload.fields import Delivery, Fields, read_fields
from functions.upload.metadata import describe
from tests.tus_function import encoded


@pytest.mark.parametrize(
    ("fields", "delivery"),
    [
        ({}, Delivery(None, Sent.WHOLE)),
        ({"original_bytes": "641728512", "sent": "sound"}, Delivery(641_728_512, Sent.SOUND)),
        ({"original_bytes": "1", "sent": "whole"}, Delivery(1, Sent.WHOLE)),
        ({"original_bytes": "999999999999999"}, Delivery(10**15 - 1, Sent.WHOLE)),
        ({"original_bytes": " ", "sent": ""}, Delivery(None, Sent.WHOLE)),
    ],
)
def test_a_client_may_say_how_a_video_was_sent(fields, delivery):
    """The page shows "sent 31 MB instead of 612 MB" from it. Forms send empty fields, which say nothing."""
    assert read_fields(fields) == Fields(Options(), delivery)


@pytest.mark.parametrize("size", ["0", "-1", "1.5", "12 MB", "1e9", "٣", "1" + "0" * 15, "9" * 5000])
def test_an_invalid_size_is_refused_by_name(size):
    """Larger numbers are not exact in JavaScript, and do not fit in the database."""
    with pytest.raises(InvalidInput) as refused:
        read_fields({"original_bytes": size})

    assert [error.field for error in refused.value.errors] == ["original_bytes"]


def test_every_wrong_field_is_named_at_once():
    """A form is corrected once, whatever its fields are about."""
    with pytest.raises(InvalidInput) as refused:
        read_fields({"original_bytes": "many", "sent": "half", "quality": "best", "speed": "2"})

    messages = {error.field: error.message for error in refused.value.errors}
    assert messages.keys() == {"original_bytes", "sent", "quality", "speed"}
    assert messages["sent"] == "Use one of: whole, sound."
    assert "original_bytes and sent" in messages["speed"]


def test_tus_metadata_say_it_like_a_form():
    metadata = {"filename": "A.mp4", "quality": "v0", "original_bytes": "70", "sent": "sound"}
    description = describe(",".join(f"{key} {encoded(text)}" for key, text in metadata.items()))

    assert description.fields == Fields(Options(quality=Quality.V0), Delivery(70, Sent.SOUND))


@pytest.mark.parametrize("key", ["original_byte", "orginal_bytes"])
def test_a_misspelt_field_of_tus_metadata_is_refused(key):
    """Keys of the client's own are ignored, so a typo would go unnoticed."""
    with pytest.raises(InvalidInput) as refused:
        describe(f"filename {encoded('A.mp4')},{key} {encoded('70')}")

    assert [error.field for error in refused.value.errors] == [key]
