"""Recordings in every container and codec that ffmpeg can write, with what happens to them: gaps, cuts and damage.

The sound is made such that it tells when it was: each tenth of a second has a tone of its own.
"""

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import NamedTuple

from tests.inputs.listening import Heard, amplitude, rms
from tests.media import ffmpeg

SOUND_S = 6.0
LEVEL = 0.25
LATE_S = 1.5
HOUR_S = 3600
# Who chooses inputs at random does so from this, so that each run chooses the same.
SEED = 20_261_103

TENTH_S = 0.1
_TONE = f"{LEVEL}*sin(2*PI*t*(300+10*mod(37*floor(10*t)\\,160)))"
_PICTURES = "testsrc=size=64x48:rate={rate}"
_MPEG4 = ("-c:v", "mpeg4")
_FRAGMENTED = ("-g", "5", "-movflags", "+frag_keyframe+empty_moov+default_base_moof", "-f", "mp4")
_SILENT = 0.1
_LIKE_ITSELF = 0.6
_ABOUT_S = 0.7


class Kind(NamedTuple):
    """A container with a codec in it.

    Attributes:
        arguments: what ffmpeg is given to write it.
        pictures: what codec the pictures have; without one there are none.
        label: what the container is called, if not by its ending.
        piece_s: how long the codec's pieces are: by so much more or less may be decoded at the ends.
        has_clock: whether each piece of sound has a time stamp of its own, so that gaps can be in it.
        promises: whether the container says how long it is, or how much is in it.
        zeros_are_sound: whether zeros are silence in this codec, which nobody can tell from what was recorded.
        delay_s: how much the encoder puts before the sound, where the container cannot say that it is to be left out.
    """

    ending: str
    codec: str
    arguments: Sequence[str] = ()
    pictures: Sequence[str] = _MPEG4
    label: str = ""
    rate_hz: int = 48_000
    piece_s: float = 0.03
    has_clock: bool = True
    promises: bool = True
    zeros_are_sound: bool = False
    delay_s: float = 0.0

    @property
    def name(self) -> str:
        """What it is called in reports."""
        return f"{self.label or self.ending} {self.codec}"


_MPEG2 = ("-c:v", "mpeg2video", "-r", "25")
_TS = Kind("ts", "", pictures=_MPEG2, promises=False)
_M2TS = _TS._replace(ending="m2ts", arguments=("-mpegts_m2ts_mode", "1"))
_DVD = _TS._replace(ending="mpg", arguments=("-f", "vob"))
_FLV = Kind("flv", "", pictures=("-c:v", "flv1"), rate_hz=44_100)
_WMV = Kind("wmv", "", pictures=("-c:v", "wmv2"), rate_hz=44_100, piece_s=0.1, delay_s=0.046)
_WEBM = Kind("webm", "", pictures=("-c:v", "libvpx", "-deadline", "realtime", "-b:v", "50k"))
_AVI = Kind("avi", "", has_clock=False)
# The time stamps of Ogg are those of its pages.
_OGG = Kind("ogg", "", pictures=(), promises=False, piece_s=0.2)
# A sequence of pieces, and nothing that says when they are heard.
_BARE = Kind("", "", pictures=(), has_clock=False)
_ENDLESS = _BARE._replace(promises=False)
_PLAIN = _BARE._replace(zeros_are_sound=True)

KINDS: Sequence[Kind] = (
    Kind("mp4", "aac"),
    Kind("mp4", "aac", ("-movflags", "+faststart"), label="mp4 with its index first"),
    Kind("mp4", "libmp3lame"),
    Kind("mp4", "libopus", zeros_are_sound=True),
    Kind("mp4", "ac3"),
    Kind("mp4", "eac3"),
    Kind("mp4", "flac", piece_s=0.1),
    Kind("mp4", "alac", piece_s=0.1),
    Kind("mp4", "aac", _FRAGMENTED, label="fragmented mp4"),
    Kind("mp4", "libopus", _FRAGMENTED, label="fragmented mp4", zeros_are_sound=True),
    Kind("mov", "aac"),
    Kind("mov", "alac", piece_s=0.1),
    Kind("mov", "pcm_s16le", has_clock=False, zeros_are_sound=True),
    Kind("mov", "adpcm_ima_qt", has_clock=False, zeros_are_sound=True),
    Kind("m4a", "aac", pictures=()),
    Kind("3gp", "libopencore_amrnb", ("-b:a", "12.2k"), rate_hz=8_000),
    Kind("mkv", "aac"),
    Kind("mkv", "libmp3lame"),
    Kind("mkv", "libopus"),
    Kind("mkv", "libvorbis"),
    Kind("mkv", "flac", piece_s=0.1),
    Kind("mkv", "ac3"),
    Kind("mkv", "mp2"),
    Kind("mkv", "wavpack", piece_s=0.5),
    Kind("mkv", "pcm_s16le", zeros_are_sound=True),
    Kind("mka", "libopus", pictures=()),
    *(_WEBM._replace(codec=codec) for codec in ("libopus", "libvorbis")),
    *(_TS._replace(codec=codec) for codec in ("aac", "mp2", "libmp3lame", "ac3", "eac3", "libopus")),
    _M2TS._replace(codec="ac3"),
    _M2TS._replace(codec="pcm_bluray", zeros_are_sound=True),
    *(_DVD._replace(codec=codec) for codec in ("mp2", "ac3")),
    *(_FLV._replace(codec=codec) for codec in ("aac", "libmp3lame")),
    _FLV._replace(codec="adpcm_swf", piece_s=0.1),
    *(_AVI._replace(codec=codec) for codec in ("libmp3lame", "ac3")),
    *(_AVI._replace(codec=codec, zeros_are_sound=True) for codec in ("pcm_s16le", "adpcm_ima_wav")),
    *(_WMV._replace(codec=codec) for codec in ("wmav1", "wmav2")),
    _WMV._replace(ending="asf", codec="libmp3lame", delay_s=0.0),
    Kind("nut", "libvorbis", promises=False),
    Kind("nut", "pcm_s16le", promises=False, zeros_are_sound=True),
    Kind("mxf", "pcm_s16le", pictures=_MPEG2, has_clock=False, zeros_are_sound=True),
    *(_OGG._replace(codec=codec) for codec in ("libvorbis", "libopus")),
    _OGG._replace(codec="flac", piece_s=1.2),
    _BARE._replace(ending="mp3", codec="libmp3lame"),
    _BARE._replace(ending="flac", codec="flac", piece_s=0.1),
    _BARE._replace(ending="tta", codec="tta", piece_s=1.1),
    _BARE._replace(ending="wv", codec="wavpack", piece_s=0.5),
    _BARE._replace(ending="caf", codec="alac", piece_s=0.1),
    _ENDLESS._replace(ending="aac", codec="aac"),
    *(_ENDLESS._replace(ending=codec, codec=codec) for codec in ("ac3", "eac3", "mp2")),
    _ENDLESS._replace(ending="amr", codec="libopencore_amrnb", arguments=("-b:a", "12.2k"), rate_hz=8_000),
    *(_PLAIN._replace(ending="wav", codec=codec, piece_s=0.05) for codec in ("adpcm_ms", "adpcm_ima_wav")),
    _PLAIN._replace(ending="wav", codec="pcm_s16le"),
    _PLAIN._replace(ending="wav", codec="pcm_f32le", arguments=("-rf64", "always"), label="rf64"),
    _PLAIN._replace(ending="w64", codec="pcm_s24le"),
    _PLAIN._replace(ending="aiff", codec="pcm_s16be"),
    _PLAIN._replace(ending="au", codec="pcm_mulaw"),
    _PLAIN._replace(ending="caf", codec="pcm_s16le"),
    _PLAIN._replace(ending="voc", codec="pcm_u8", rate_hz=8_000, promises=False),
)


class Gap(NamedTuple):
    """Packets that were never stored: those for which `dropped` holds. `holes` are what is missing then, in seconds."""

    name: str
    dropped: str = ""
    holes: Sequence[tuple[float, float]] = ()


class Harm(NamedTuple):
    """What happens to a stored file: all behind `kept`, a share of its bytes, is cut off, or bytes become zeros."""

    name: str
    kept: float = 1.0
    zeros: tuple[float, float] = (0.0, 0.0)

    @property
    def has_zeros(self) -> bool:
        """Whether bytes became zeros."""
        return self.zeros[1] > 0

    @property
    def holes(self) -> Sequence[tuple[float, float]]:
        """About where sound is lost, in seconds of it: a container has more than sound, and not in equal parts."""
        if not self.has_zeros:
            return ()
        start, end = (share * SOUND_S for share in self.zeros)
        return [(start - _ABOUT_S, end + _ABOUT_S)]

    def done_to(self, data: bytes) -> bytes:
        """Return the bytes that are left."""
        start, end = (round(len(data) * share) for share in self.zeros)
        return (data[:start] + bytes(end - start) + data[end:])[: round(len(data) * self.kept)]


WHOLE = Gap("no gap")
GAPS = (
    Gap("one packet lost", "eq(n,30)", ((0.0, SOUND_S),)),
    Gap("every 20th packet lost", "eq(mod(n,20),19)", ((0.0, SOUND_S),)),
    Gap("0.3 s lost", "between(pts*tb-startpts*tb,2,2.3)", ((2.0, 2.3),)),
    Gap("2 s lost", "between(pts*tb-startpts*tb,2,4)", ((2.0, 4.0),)),
    Gap("pauses", "between(mod(pts*tb-startpts*tb,2),1,1.6)", ((1.0, 1.6), (3.0, 3.6), (5.0, 5.6))),
)
UNHARMED = Harm("unharmed")
CUTS = (Harm("last 1 % cut off", 0.99), Harm("last 10 % cut off", 0.9), Harm("cut in half", 0.5))
ZEROS = (
    Harm("2 % zeros", zeros=(0.5, 0.52)),
    Harm("8 % zeros", zeros=(0.5, 0.58)),
    Harm("20 % zeros", zeros=(0.5, 0.7)),
)


class Start(NamedTuple):
    """When the sound begins after the pictures, and the pictures after zero."""

    name: str
    late_s: float = 0.0
    offset_s: float = 0.0


AT_ONCE, LATE, AN_HOUR_IN = Start("from the start"), Start("late", late_s=LATE_S), Start("from 1 h on", offset_s=HOUR_S)


class Combination(NamedTuple):
    """A recording with its start, its gap and its harm, of a person who accepts damage or does not."""

    kind: Kind
    start: Start = AT_ONCE
    gap: Gap = WHOLE
    harm: Harm = UNHARMED
    is_accepted: bool = False

    def __str__(self) -> str:
        parts = [self.kind.name, self.start.name, self.gap.name, self.harm.name]
        return ", ".join([*parts, "accepted"] if self.is_accepted else parts)

    @property
    def is_whole(self) -> bool:
        """Whether all of the sound is in it."""
        return self.gap is WHOLE and self.harm is UNHARMED

    def write(self, path: Path) -> None:
        """Make it."""
        kind, start = self.kind, self.start
        sound = f"aevalsrc={_TONE}:s={kind.rate_hz}:d={SOUND_S}"
        inputs = ["-f", "lavfi", "-i", _PICTURES.format(rate=25 if "-r" in kind.pictures else 10)]
        if start.late_s:
            inputs += ["-itsoffset", str(start.late_s)]
        inputs += ["-f", "lavfi", "-i", sound]
        maps = ["-map", "0", "-map", "1"] if kind.pictures else ["-map", "1"]
        gap = ["-bsf:a", f"noise=drop='{self.gap.dropped}'"] if self.gap.dropped else []
        offset = ["-output_ts_offset", str(start.offset_s)] if start.offset_s else []
        ffmpeg(
            *("-threads", "1", *inputs, *maps, "-t", str(start.late_s + SOUND_S), *kind.pictures),
            *("-c:a", kind.codec, *gap, *offset, *kind.arguments, str(path)),
        )
        if self.harm is not UNHARMED:
            path.write_bytes(self.harm.done_to(path.read_bytes()))


def combinations() -> list[Combination]:
    """Return all of them that make sense. Files that do not begin at once have a part of the gaps and harms."""
    found = []
    for kind in KINDS:
        gaps = GAPS if kind.has_clock else ()
        found += [Combination(kind, gap=gap) for gap in (WHOLE, *gaps)]
        found += [Combination(kind, harm=harm) for harm in (*CUTS, *ZEROS)]
        found += [Combination(kind, harm=harm, is_accepted=True) for harm in (CUTS[1], ZEROS[2])]
        found += [Combination(kind, gap=gap, harm=harm) for gap, harm in product(gaps[2:4], CUTS[1:])]
        if kind.pictures and kind.has_clock:
            for start in (LATE, AN_HOUR_IN):
                found += [Combination(kind, start, gap=gap) for gap in (WHOLE, *gaps)]
                found += [Combination(kind, start, harm=harm) for harm in (CUTS[1], ZEROS[1])]
    return found


class Tenths(NamedTuple):
    """How many tenths of a second of the sound are in an MP3: at their place, silent, or something else."""

    there: list[int]
    silent: list[int]
    wrong: list[int]


def find_tenths(heard: Heard, late_s: float) -> Tenths:
    """Look for each tenth of a second of the sound, which begins `late_s` into the MP3."""
    found = Tenths([], [], [])
    for number in range(round(SOUND_S / TENTH_S)):
        start_s = late_s + number * TENTH_S
        window = heard.part(heard.left, start_s, start_s + TENTH_S)
        tone = amplitude(window, 300 + 37 * number % 160 * 10, heard.rate_hz) / LEVEL
        if tone > _LIKE_ITSELF:
            found.there.append(number)
        elif rms(window) * math.sqrt(2) / LEVEL < _SILENT:
            found.silent.append(number)
        else:
            found.wrong.append(number)
    return found
