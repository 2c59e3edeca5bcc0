"""What is done to the sound on its way from a decoder to the encoder, as filters of ffmpeg."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from functions.convert.media.probe import Description, channels_of
from functions.convert.media.tracks import Choice
from functions.shared.options import MP3_RATES_HZ, Channels, Options

# The downmix, the same whatever the codec: the front as it is; the centre, where people speak, as loud as the front;
# what is beside, behind or above 6 dB below, and in the middle there with half of that power to each side; no LFE.
# Channels that a layout lacks are passed over. Between floats nothing is scaled down or clipped on the way: what
# becomes too loud is for the limiter. The stream's own downmix levels are deleted, or AC-3's would win.
_FRONT, _AROUND = ("F{}", "F{}C", "D{}"), ("S{}", "B{}", "W{}", "TF{}", "TS{}", "TB{}", "SD{}", "SS{}", "BF{}", "TT{}")
_MIDDLE = ("BC", "TC", "TFC", "TBC", "BFC")
_AS_FLOATS = "asidedata=mode=delete:type=DOWNMIX_INFO,aformat=sample_fmts=fltp"
# `5 channels (FL+FR+FC+BL+BR)` has names; of `5 channels` nothing is known.
_NAMELESS_LAYOUT = re.compile(r"\d+ channels")
_AMBISONIC = "ambisonic"
# Silence in the gaps of each soundtrack, so that several stay beside each other.
_FILLED = "aresample=async=1:min_hard_comp=0.03:first_pts=0"


class Form(NamedTuple):
    """The form that the sound has in the MP3: `rate` in Hz, and 1 or 2 channels."""

    rate: int
    channels: int


def form_of(choice: Choice, options: Options) -> Form:
    """Return the form for what was chosen: as it is, as far as an MP3 can have it, unless the person wants another."""
    rates = [track.sample_rate_hz or MP3_RATES_HZ[-1] for track in choice.tracks]
    is_mono = choice.layout is None and all(track.channels == 1 for track in choice.tracks)
    channels = {Channels.AUTO: 1 if is_mono else 2, Channels.MONO: 1, Channels.STEREO: 2}[options.channels]
    return Form(options.sample_rate or _mp3_rate(max(rates)), channels)


def graph(choice: Choice, description: Description, form: Form) -> str:
    """Return the filters from the chosen soundtracks to `[sound]`, in 32-bit floats."""
    inputs = [
        (description.specifier_of(track), description.layouts[description.position_of(track)])
        for track in choice.tracks
    ]
    if choice.layout:
        # Of mono soundtracks amerge makes the layout that is usual for so many channels, in their order.
        parts = [f"[{name}]{_FILLED}:osf=fltp:ochl=mono[t{index}]" for index, (name, _) in enumerate(inputs)]
        merged = "".join(f"[t{index}]" for index in range(len(inputs)))
        parts.append(f"{merged}amerge=inputs={len(inputs)},{_shaped(choice.layout, form)}[sound]")
    elif len(inputs) > 1:
        parts = [f"[{name}]{_FILLED},{_shaped(layout, form)}[t{index}]" for index, (name, layout) in enumerate(inputs)]
        mixed = "".join(f"[t{index}]" for index in range(len(inputs)))
        parts.append(f"{mixed}amix=inputs={len(inputs)}:normalize=0:duration=longest[sound]")
    else:
        [(name, layout)] = inputs
        parts = [f"[{name}]{_shaped(layout, form)}[sound]"]
    return ";".join(parts)


def _shaped(layout: str, form: Form) -> str:
    """Return the filters that give sound of a layout the form of the MP3."""
    steps = [_AS_FLOATS]
    if layout == "mono" and form.channels == 1:
        # A broadcast may become stereo on the way.
        steps.append("aresample=ochl=mono:rematrix_maxval=1")
    elif channels_of(layout) == 1:
        steps.append("pan=mono|c0=c0" if form.channels == 1 else "pan=stereo|c0=c0|c1=c0")
    else:
        steps.append(_to_stereo(layout))
        if form.channels == 1:
            steps.append("pan=mono|c0=0.5*c0+0.5*c1")
    return ",".join([*steps, f"aresample=osr={form.rate}:osf=flt"])


def _to_stereo(layout: str) -> str:
    if layout.startswith(_AMBISONIC):
        # The first two components are what comes from everywhere, and left less right (ACN, SN3D): two cardioids.
        return "pan=stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0-0.5*c1"
    if _NAMELESS_LAYOUT.fullmatch(layout):
        # Recorders with many inputs put the mix, or the main pair, first.
        return "pan=stereo|c0=c0|c1=c1"
    return f"pan=stereo|FL={_heard_on('L')}|FR={_heard_on('R')}"


def _heard_on(side: str) -> str:
    front = [name.format(side) for name in _FRONT]
    around = [f"0.5*{name.format(side)}" for name in _AROUND]
    middle = [f"0.3536*{name}" for name in _MIDDLE]
    return "+".join(["FC", *front, *around, *middle])


def _mp3_rate(rate: int) -> int:
    """Return the rate of an MP3 for sound of another: the next higher, or of those above 48 kHz one that divides it."""
    if rate in MP3_RATES_HZ:
        return rate
    if rate > MP3_RATES_HZ[-1]:
        return 44_100 if rate % 44_100 == 0 else 48_000
    return min(each for each in MP3_RATES_HZ if each > rate)


class Levels(NamedTuple):
    """What is done to the loudness: `gain_db`, and a ceiling in dBFS that no sample may exceed, or None."""

    gain_db: float = 0.0
    ceiling_db: float | None = None

    def filters(self) -> Sequence[str]:
        """Return the filters of it. The limiter looks 5 ms ahead, and leaves alone what stays below its ceiling."""
        filters = []
        if self.ceiling_db is not None:
            # Floats may be beyond all measure, or no numbers. As integers they are neither.
            filters += ["volume=-40dB:precision=double", "aformat=sample_fmts=s32", "volume=40dB:precision=double"]
        if self.gain_db:
            filters.append(f"volume={self.gain_db:.3f}dB:precision=float")
        if self.ceiling_db is not None:
            filters.append(f"alimiter=level=0:latency=1:attack=5:release=50:limit={10 ** (self.ceiling_db / 20):.6f}")
        return filters
