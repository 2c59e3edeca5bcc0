"""Where each piece of decoded sound lies in the video's time, and how much is missing between them.

Decoders give pieces of sound with time stamps. Most follow one another without a gap, and are kept as they are. Where
something is missing, silence takes its place, so that every second of sound stays beside its picture. No sound is ever
thrown away: where time stamps overlap or go back, the pieces simply follow one another.
"""

import bisect
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

# Time stamps of live recordings jitter by this much without anything missing. A gap shows in all that follow it.
_SETTLED_S = 0.1
# Shorter pieces are joined, or looking ahead would take long.
_SMALLEST_PIECE_S = 0.004
# No codec has shorter pieces that can be lost, but for a few, in which several are lost together.
_SMALLEST_GAP_S = 0.01
# A recorder's clock may run apart from that of its sound card. Beyond this the sound is brought back to its picture.
_MOST_DRIFT_S = 0.05
# A codec's start may take a piece or two until sound comes out.
_SMALLEST_LATE_START_S = 0.03
# Where recordings are joined, time jumps. A shorter gap than this is taken for one in any case.
_SMALLEST_JUMP_S = 10.0


class Piece(NamedTuple):
    """A piece of sound, in samples at the timeline's rate: its time stamp and its length."""

    start: int
    length: int


class Step(NamedTuple):
    """What comes next in the MP3: `silence` samples of silence, then `sound` samples of sound."""

    silence: int
    sound: int


class Gap(NamedTuple):
    """A stretch without sound, in samples of the video's time."""

    start: int
    end: int


class Filled(NamedTuple):
    """A gap that was filled with silence, and where that is in the MP3, in samples from its start."""

    gap: Gap
    at: int


class Timeline:
    """Lays pieces of sound one behind the other. `rate` is in Hz; time stamps count from the start of the video.

    It `follows_clock` unless the time stamps are not a clock's, but counted from the packets themselves. It `may_wait`
    for the first sound if something else comes before it. Otherwise the sound starts at once. `is_jump` says whether
    a long stretch without sound is one in which time jumped, so that there is nothing to fill.

    Attributes:
        gaps: what was filled with silence, without what comes before the first sound.
        late_start: how many samples of silence come before the first sound.
        length: how many samples there are so far, silence included.
        end: the time stamp at which the sound ends so far.
        jumped: how many samples the time stamps have jumped so far.
    """

    def __init__(
        self,
        rate: int,
        *,
        follows_clock: bool = True,
        may_wait: bool = True,
        is_jump: Callable[[Gap], bool] = lambda _: False,
    ) -> None:
        self.gaps: list[Filled] = []
        self.late_start = 0
        self.length = 0
        self.end = 0
        self._rate = rate
        self._follows_clock = follows_clock
        self._may_wait = may_wait
        self._is_jump = is_jump
        self.jumped = 0
        self._origin = 0
        self._lag = 0
        self._has_begun = False

    def steps(self, pieces: Iterable[Piece]) -> Iterator[Step]:
        """Yield a step for each piece, or for several short ones, in their order. It looks about 0.1 s ahead."""
        ahead: deque[Piece] = deque()
        ahead_length = 0
        for piece in _joined(pieces, round(_SMALLEST_PIECE_S * self._rate)):
            ahead.append(piece)
            ahead_length += piece.length
            while ahead and ahead_length - ahead[0].length >= _SETTLED_S * self._rate:
                ahead_length -= ahead[0].length
                yield self._step(ahead)
        while ahead:
            yield self._step(ahead)

    def _step(self, ahead: "deque[Piece]") -> Step:
        silence = self._missing(ahead)
        piece = ahead.popleft()
        if silence and self._has_begun:
            self.gaps.append(Filled(Gap(piece.start - silence, piece.start), self.length))
        elif silence:
            self.late_start = silence
        self._has_begun = True
        self.length += silence + piece.length
        self.end = max(self.end, piece.start + piece.length)
        return Step(silence, piece.length)

    def _missing(self, ahead: "deque[Piece]") -> int:
        """Return how much silence belongs before the first of these pieces."""
        first = ahead[0]
        if not self._has_begun:
            if not self._may_wait:
                self._origin = first.start
            self._lag = first.start - self._origin
            if self._lag < _SMALLEST_LATE_START_S * self._rate:
                return 0
            late, self._lag = self._lag, 0
            return late
        # Jitter goes back to where it came from; what is missing stays missing.
        position = self._origin + self.length
        lag = first.start - position
        for piece in ahead:
            lag = min(lag, piece.start - position)
            position += piece.length
        before, self._lag = self._lag, lag
        lost = max(_SMALLEST_GAP_S * self._rate, min(first.length / 2, _MOST_DRIFT_S * self._rate))
        drifts = self._follows_clock and lag >= _MOST_DRIFT_S * self._rate
        if lag - max(before, 0) < lost and not drifts:
            return 0
        self._lag = 0
        if lag >= _SMALLEST_JUMP_S * self._rate and self._is_jump(Gap(first.start - lag, first.start)):
            self._origin += lag
            self.jumped += lag
            return 0
        return lag


def _joined(pieces: Iterable[Piece], shortest: int) -> Iterator[Piece]:
    """Yield pieces of at least `shortest` samples, as far as there is no gap between them."""
    joined: Piece | None = None
    for piece in pieces:
        if joined and joined.start + joined.length == piece.start:
            joined = Piece(joined.start, joined.length + piece.length)
        else:
            if joined:
                yield joined
            joined = piece
        if joined.length >= shortest:
            yield joined
            joined = None
    if joined:
        yield joined


class Covered:
    """Stretches of time, to be asked how much of a gap they cover."""

    def __init__(self, stretches: Iterable[Gap]) -> None:
        self._stretches: list[Gap] = []
        for each in sorted(stretches):
            if self._stretches and each.start <= self._stretches[-1].end:
                last = self._stretches[-1]
                self._stretches[-1] = Gap(last.start, max(last.end, each.end))
            else:
                self._stretches.append(each)

    def of(self, gap: Gap) -> int:
        """Return how many samples of a gap are covered."""
        covered = 0
        first = bisect.bisect_left(self._stretches, gap.start, key=lambda each: each.end)
        for each in itertools.islice(self._stretches, first, None):
            if each.start >= gap.end:
                break
            covered += max(0, min(gap.end, each.end) - max(gap.start, each.start))
        return covered
