"""What is done to the sound on its way from a decoder to the encoder, as filters of ffmpeg."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from functions.convert.media.probe import Description
from functions.convert.media.tracks import Choice
from functions.shared.options import Channels, Options

# What an MP3 can have: ISO/IEC 11172-3, 13818-3, and the lowest three of MPEG 2.5.
MP3_RATES_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)

# The downmix, the same whatever the codec: the front as it is, the centre, where people speak, as loud as the front,
# each surround channel 6 dB below, no LFE. Downmix levels in the stream are deleted, or AC-3's would win. Between
# floats nothing is scaled down: what becomes too loud is for the limiter.
_DOWNMIX = "center_mix_level=1:surround_mix_level=0.5:lfe_mix_level=0:rematrix_maxval=1000:internal_sample_fmt=fltp"
_NO_LEVELS_OF_ITS_OWN = "asidedata=mode=delete:type=DOWNMIX_INFO"
# Layouts whose channels swresample can place: `5.1(side)`, `quad`, `7.1.4`.
_KNOWN_LAYOUT = re.compile(r"mono|stereo|downmix|quad.*|hexagonal|octagonal|cube|\d+\.\d+(\.\d+)?(\(.*\))?")
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
    """Return the filters from the chosen soundtracks to `[sound]` and `[pieces]`, which are the same 32-bit floats."""
    position = {track.number: index for index, track in enumerate(description.tracks)}
    inputs = [
        (description.specifiers[position[track.number]], description.layouts[position[track.number]])
        for track in choice.tracks
    ]
    if choice.layout:
        # Of mono soundtracks amerge makes the layout that is usual for so many channels, in their order.
        parts = [f"[{name}]{_FILLED}:osf=fltp:ochl=mono[t{index}]" for index, (name, _) in enumerate(inputs)]
        merged = "".join(f"[t{index}]" for index in range(len(inputs)))
        parts.append(f"{merged}amerge=inputs={len(inputs)},{_shaped(choice.layout, form)}[one]")
    elif len(inputs) > 1:
        parts = [f"[{name}]{_FILLED},{_shaped(layout, form)}[t{index}]" for index, (name, layout) in enumerate(inputs)]
        mixed = "".join(f"[t{index}]" for index in range(len(inputs)))
        parts.append(f"{mixed}amix=inputs={len(inputs)}:normalize=0:duration=longest[one]")
    else:
        [(name, layout)] = inputs
        parts = [f"[{name}]{_shaped(layout, form)}[one]"]
    return ";".join([*parts, "[one]asplit[sound][pieces]"])


def _shaped(layout: str, form: Form) -> str:
    """Return the filters that give sound of a layout the form of the MP3."""
    steps = [_NO_LEVELS_OF_ITS_OWN]
    if layout == "mono" and form.channels == 1:
        steps.append(f"aresample=ochl=mono:osf=flt:osr={form.rate}:{_DOWNMIX}")
        return ",".join(steps)
    if layout == "mono":
        steps.append("pan=stereo|c0=c0|c1=c0")
    elif layout.startswith(_AMBISONIC):
        # The first two components are what comes from everywhere, and left less right (ACN, SN3D): two cardioids.
        steps.append("pan=stereo|c0=0.5*c0+0.5*c1|c1=0.5*c0-0.5*c1")
    elif layout == "1 channels":
        steps.append("pan=stereo|c0=c0|c1=c0")
    elif not _KNOWN_LAYOUT.fullmatch(layout):
        # Recorders with many inputs put the mix, or the main pair, first.
        steps.append("pan=stereo|c0=c0|c1=c1")
    steps.append(f"aresample=ochl=stereo:osf=flt:osr={form.rate}:{_DOWNMIX}")
    if form.channels == 1:
        steps.append("pan=mono|c0=0.5*c0+0.5*c1")
    return ",".join(steps)


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
        if self.gain_db:
            filters.append(f"volume={self.gain_db:.3f}dB:precision=float")
        if self.ceiling_db is not None:
            filters.append(f"alimiter=level=0:latency=1:attack=5:release=50:limit={10 ** (self.ceiling_db / 20):.6f}")
        return filters
