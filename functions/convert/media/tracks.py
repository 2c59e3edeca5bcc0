"""Which sound the person wants: the soundtracks of a video, and the rule that chooses among them."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from functions.convert.failures import InvalidOption
from functions.convert.media.kinds import CHANNELS_APART, ONE_SOUNDTRACK
from functions.convert.media.languages import same_language
from functions.shared.conversions import Track
from functions.shared.options import Options, Tracks

_MOST_CHANNELS_APART = 16
# In the order of SMPTE ST 428-12 and of what editors export: left, right, centre, LFE, left and right surround.
_SURROUND = 6


class Choice(NamedTuple):
    """The soundtracks that become the MP3: one, several to be mixed, or mono ones that are the channels of one.

    Attributes:
        tracks: in the file's order.
        layout: None, or the channel layout that mono soundtracks make up together: `stereo` or `5.1`.
    """

    tracks: tuple[Track, ...]
    layout: str | None = None

    @property
    def number(self) -> int | None:
        """The number that the receipt names. A mix has none."""
        return self.tracks[0].number if self.layout or len(self.tracks) == 1 else None


def choices(tracks: Sequence[Track], container: str, options: Options) -> list[Choice]:
    """Return what may become the MP3, the best first: the later ones are for when the first is silent or empty.

    A soundtrack that the person asks for has no alternative. `tracks` must hold a usable one. `container` is the kind
    of Container.

    Raises:
        InvalidOption: there is no soundtrack with the number or language that the person asks for.
    """
    usable = [track for track in tracks if track.usable]
    if options.tracks is Tracks.MIX:
        return [Choice(tuple(usable))]
    if options.track:
        return [Choice((_asked_for(options.track, tracks),))]
    if container in ONE_SOUNDTRACK:
        return [Choice((track,)) for track in usable]
    if apart := _channels_apart(usable, container):
        return [apart]
    return [Choice((track,)) for track in sorted(usable, key=lambda track: _rank(track, options.preferred_language))]


def _rank(track: Track, language: str | None) -> tuple[bool, bool, bool, int, int]:
    """Return what makes a soundtrack come first when the smallest does. `language` is the person's, if known."""
    is_foreign = language is None or track.language is None or not same_language(track.language, language)
    return (track.role is not None, not track.default, is_foreign, -(track.channels or 0), track.number)


def _asked_for(wanted: str, tracks: Sequence[Track]) -> Track:
    if wanted.isdigit():
        found = [track for track in tracks if track.number == int(wanted)]
    else:
        spoken = [track for track in tracks if track.language and same_language(track.language, wanted)]
        found = sorted((track for track in spoken if track.usable), key=lambda track: _rank(track, None)) or spoken
    if not found:
        raise InvalidOption("track", f'No soundtrack matches "{wanted}". The video has: {_listed(tracks)}.')
    if not found[0].usable:
        raise InvalidOption(
            "track", f"Soundtrack {found[0].number} is empty or cannot be decoded here. Choose another one."
        )
    return found[0]


def _listed(tracks: Sequence[Track]) -> str:
    return ", ".join(f"{track.number} ({track.language or 'language unknown'})" for track in tracks)


def _channels_apart(tracks: Sequence[Track], container: str) -> Choice | None:
    """Return the channels that are soundtracks of their own, or None if these are separate recordings.

    They are channels only if they look it: uncompressed mono, alike in all, without a name or a language to tell one
    from the other.
    """
    if container not in CHANNELS_APART or not 2 <= len(tracks) <= _MOST_CHANNELS_APART:
        return None
    first = tracks[0]
    if first.channels != 1 or not first.codec.startswith("pcm_"):
        return None
    if any(msgspec.structs.replace(track, number=first.number, default=first.default) != first for track in tracks):
        return None
    if len(tracks) == _SURROUND:
        return Choice(tuple(tracks), "5.1")
    return Choice(tuple(tracks[:2]), "stereo")
