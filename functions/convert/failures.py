"""Why a conversion can fail: for good, or only this time."""

from collections.abc import Mapping

from functions.shared.conversions import Failure

TITLES: Mapping[str, str] = {
    "attempts-exhausted": "The conversion did not succeed",
    "corrupt-media": "The sound is damaged",
    "duration-exceeded": "The video is too long",
    "empty-file": "The video is empty",
    "encrypted-media": "The video is encrypted",
    "invalid-media": "The file cannot be read",
    "invalid-option": "An option does not fit this video",
    "no-audio-track": "The video has no sound",
    "resource-limit": "The conversion needs too much memory or space",
    "storage-corrupt": "The stored video is damaged",
    "too-many-streams": "The video has too many tracks",
    "took-too-long": "The conversion took too long",
    "truncated-media": "The video is cut off",
    "unsupported-media": "This format cannot be converted",
}


_ANOTHER_COPY_OR_WHAT_IS_LEFT = (
    "Upload another copy of the video, or upload this one with damaged=accept to get what is left."
)


class ConversionFailed(Exception):
    """Raised when trying again cannot help. A subclass sets `code`, which TITLES must list.

    `detail` is a plain sentence for the person whose video it is.
    """

    code: str

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.failure = Failure(type=self.code, title=TITLES[self.code], detail=detail)


class EmptyFile(ConversionFailed):
    """Raised when the video has no bytes. A form with such a file is refused; in slices it comes as far as here."""

    code = "empty-file"

    def __init__(self) -> None:
        super().__init__("The file has no bytes. Check that it was copied or downloaded completely.")


class UnsupportedMedia(ConversionFailed):
    """Raised for containers and codecs that are not on the lists in `media`."""

    code = "unsupported-media"


class InvalidMedia(ConversionFailed):
    """Raised when no demuxer makes sense of the file, or its structure is absurd."""

    code = "invalid-media"

    def __init__(
        self,
        detail: str = "The file cannot be read as a video or a sound file. "
        "Check that it plays on your device, then upload it again.",
    ) -> None:
        super().__init__(detail)


class InvalidOption(ConversionFailed):
    """Raised when an option asks for what this video does not have, which only the file can tell."""

    code = "invalid-option"

    def __init__(self, name: str, detail: str) -> None:
        super().__init__(f"{name}: {detail}")
        self.name = name


class NoAudioTrack(ConversionFailed):
    """Raised when there is nothing to hear."""

    code = "no-audio-track"

    def __init__(self) -> None:
        super().__init__(
            "The video has no soundtrack, or an empty one, so there is nothing to make an MP3 from. "
            "Upload a video with sound."
        )


class TruncatedMedia(ConversionFailed):
    """Raised when the file ends before its container says it does."""

    code = "truncated-media"

    def __init__(self) -> None:
        super().__init__(
            "The file ends before its container says it should. Copy it again completely, then upload it once more. "
            "Or upload it with damaged=accept to get what is there."
        )


class CorruptMedia(ConversionFailed):
    """Raised when so much of the sound cannot be decoded that the rest is not what the person expects."""

    code = "corrupt-media"

    def __init__(self, detail: str, advice: str = _ANOTHER_COPY_OR_WHAT_IS_LEFT) -> None:
        super().__init__(f"{detail} {advice}")


class NothingDecodable(CorruptMedia):
    """Raised when none of a soundtrack can be decoded. Another one may be fine."""

    def __init__(self) -> None:
        super().__init__("The sound cannot be decoded.", "Upload another copy of the video.")


class EncryptedMedia(ConversionFailed):
    """Raised when the soundtrack is encrypted."""

    code = "encrypted-media"

    def __init__(self) -> None:
        super().__init__("The soundtrack is encrypted (DRM). Upload a video without copy protection.")


class TooManyStreams(ConversionFailed):
    """Raised when the file has more tracks than a video has."""

    code = "too-many-streams"

    def __init__(self, limit: int) -> None:
        super().__init__(f"The file has more than {limit} tracks. Upload a file with fewer.")


class DurationExceeded(ConversionFailed):
    """Raised when the sound is longer than the deployment converts, whatever the header says."""

    code = "duration-exceeded"

    def __init__(self, limit_s: float) -> None:
        super().__init__(
            f"The sound is longer than {limit_s / 3600:g} hours, which is the limit here. "
            "Choose a shorter part of it with `start` and `end`, or upload the video in shorter parts."
        )


class TookTooLong(ConversionFailed):
    """Raised when the function's time is up."""

    code = "took-too-long"

    def __init__(self) -> None:
        super().__init__(
            "The conversion did not finish within the time allowed here. Upload the video in shorter parts."
        )


class StorageCorrupt(ConversionFailed):
    """Raised when the stored video is missing or not what was stored."""

    code = "storage-corrupt"

    def __init__(self) -> None:
        super().__init__("The stored video was damaged on our side. Please upload it again.")


class AttemptFailed(Exception):
    """Raised when another attempt may succeed: ffmpeg was killed, stalled, or ran out of memory or disk.

    `code` and the message become the failure if this was the last attempt.
    """

    def __init__(self, reason: str, code: str = "attempts-exhausted") -> None:
        super().__init__(reason)
        self.code = code

    def final(self, attempts: int) -> Failure:
        """Return what the person is told after the last of `attempts` attempts."""
        return Failure(
            type=self.code,
            title=TITLES[self.code],
            detail=f"The conversion was tried {attempts} times, and failed each time. "
            "Try again later, or upload a smaller video.",
        )


class Interrupted(Exception):
    """Raised when the host wants the function to end now. The message must come back."""
