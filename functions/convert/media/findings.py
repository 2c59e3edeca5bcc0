"""What the structure of a file says about its sound."""

from typing import NamedTuple


class Soundtrack(NamedTuple):
    """A soundtrack as the container lists it.

    `codec` is the container's own name ("mp4a", "A_OPUS", "0x0055"), or empty. `duration_s` is what the index promises:
    from the start of the file to the end of this sound, after edits; None is no promise. `samples` is how many packets
    the index lists, where 0 means declared but empty and None unknown. `is_cut` says that one of the samples
    lies beyond the end of the file. `encryption` names the kind ("enca", "drms", "ContentEncryption"), or is empty.
    """

    codec: str = ""
    duration_s: float | None = None
    samples: int | None = None
    is_cut: bool = False
    encryption: str = ""


class Container(NamedTuple):
    """A file, as far as its structure describes it.

    `kind` is empty for formats that no reader knows. `duration_s` is the promised length of the longest track, counted
    from where the first one starts; None is no promise. `missing_bytes` says that the file was longer once, so it was
    cut off. `is_unfinished` says that its recorder stopped in the middle, so it is whole up to there: such a file has
    an index with each of its parts. `soundtracks` are in the order of ffmpeg's audio streams, and empty where
    the reader cannot list them. `understated` is the number of bytes of sound that follow a header which
    admits to fewer, or None.
    """

    kind: str = ""
    duration_s: float | None = None
    missing_bytes: bool = False
    is_unfinished: bool = False
    soundtracks: tuple[Soundtrack, ...] = ()
    understated: int | None = None


def longest(soundtracks: tuple[Soundtrack, ...]) -> float | None:
    """Return the longest duration that one of the soundtracks promises, in seconds."""
    return max((track.duration_s for track in soundtracks if track.duration_s is not None), default=None)
