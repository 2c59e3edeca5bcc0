"""How one video is read: several times, always from its start."""

from collections.abc import Callable
from typing import NamedTuple

from functions.convert.failures import ConversionFailed
from functions.convert.feed import Feed
from functions.convert.ffmpeg import Source
from functions.convert.media.findings import Container
from functions.shared.conversions import Track

# Is told the soundtracks that were found.
OnTracks = Callable[[tuple[Track, ...]], None]


class Unproved(Exception):
    """Raised when a video that comes out of a pipe does not give an MP3 of which all is proved."""


class Limits(NamedTuple):
    """How much sound is converted, in seconds, and after how many seconds without progress ffmpeg is killed."""

    max_duration_s: float
    stall_s: float


class Reading:
    """A video of `size` bytes whose structure is `container`. `make_source` makes what ffmpeg reads, at its start.

    From a pipe it is concluded only that all is well: what ffmpeg cannot get at there it takes for the end, and what it
    would have to go back to it leaves out. A file tells.

    Attributes:
        last_proof: which source, counted from 0, was the last that was read for an MP3.
    """

    def __init__(
        self,
        make_source: Callable[[], Source],
        container: Container,
        size: int,
        on_progress: Callable[[float], None],
        limits: Limits,
        *,
        on_tracks: OnTracks = lambda _: None,
    ) -> None:
        self.container = container
        self.size = size
        self.on_progress = on_progress
        self.limits = limits
        self.on_tracks = on_tracks
        self.last_proof = 0
        self._make_source = make_source
        self._made = 0
        self._last: Source | None = None

    def source(self) -> Source:
        """Return the video at its start."""
        self._last = self._make_source()
        self._made += 1
        return self._last

    def source_of_the_mp3(self) -> Source:
        """Return the video at its start, to make an MP3 of it."""
        self.last_proof = self._made
        return self.source()

    @property
    def is_streamed(self) -> bool:
        """Whether ffmpeg reads it from a pipe."""
        return isinstance(self._last, Feed)

    def tick(self) -> None:
        """Do what is to be done several times a second."""
        self.on_progress(0.0)

    def doubtful(self, failed: ConversionFailed) -> Exception:
        """Return what to raise for a failure: a pipe proves none."""
        return Unproved() if self.is_streamed else failed
