"""Streams whose sound changes on the way: its channels, its rate, or the stream itself."""

import struct
from pathlib import Path

from tests.inputs.expected import Expected, fails, part, stereo, tones
from tests.inputs.making import MPEG2, beside, chord, joined, make, pictures, tone
from tests.inputs.making import stereo as sound
from tests.inputs.recipe import also_gives, gives


def _joined(path: Path, *sources: str, arguments: list[str]) -> None:
    """Make a file of each source and write one behind the other."""
    pieces = [beside(path, f"{number}{path.suffix}") for number in range(len(sources))]
    for piece, source in zip(pieces, sources, strict=True):
        make(piece, source, arguments=arguments)
    joined(path, *pieces)


@gives("aac", tones(440, 660, 880, seconds=3, seconds_of_all=9.1))
def segments_of_a_stream(path: Path) -> None:
    """The segments of a radio stream were joined, each with its time stamp in a tag before it."""
    pieces = []
    for number, hz in enumerate((440, 660, 880)):
        piece = beside(path, f"{number}.aac")
        make(piece, tone(hz, 3), arguments=["-c:a", "aac", "-f", "adts"])
        # The tag is that of RFC 8216, section 3.4: one PRIV frame with a 33-bit time stamp at 90 kHz.
        stamp = b"com.apple.streaming.transportStreamTimestamp\0" + struct.pack(">Q", number * 270_000)
        frame = b"PRIV" + struct.pack(">IH", len(stamp), 0) + stamp
        pieces.append(b"ID3\x04\0\0" + bytes([0, 0, len(frame) >> 7, len(frame) & 127]) + frame + piece.read_bytes())
    path.write_bytes(b"".join(pieces))


@gives("aac", Expected(seconds=8.06))
def mono_becomes_stereo(path: Path) -> None:
    """A radio stream changes from mono to stereo when the music begins."""
    _joined(path, tone(440, 4), chord(None, 880, seconds=4), arguments=["-c:a", "aac"])


@gives("aac", tones(440, 880, seconds=4, seconds_of_all=8.07))
def rate_changes(path: Path) -> None:
    """A radio stream changes from 44.1 to 48 kHz."""
    _joined(path, tone(440, 4, rate_hz=44_100), tone(880, 4), arguments=["-c:a", "aac"])


@gives("ogg", tones(440, 880, seconds=3), codec="libvorbis")
@also_gives("opus", tones(440, 880, seconds=3), codec="libopus")
def songs_of_a_radio_stream(path: Path, codec: str) -> None:
    """A radio stream in Ogg begins a new stream with each song."""
    _joined(path, tone(440, 3), tone(880, 3), arguments=["-c:a", codec])


@gives("mp3", tones(440, 880, seconds=3, tolerance=0.2))
def two_mp3s_are_joined(path: Path) -> None:
    """Two MP3s were joined with cat, so the header of the first one tells half of the length."""
    _joined(path, tone(440, 3), tone(880, 3), arguments=["-c:a", "libmp3lame"])


@gives("ts", Expected(seconds=8, channels=2, parts=(part(0.2, 3.8, 440, 440), part(4.3, 7.8, 880, 880))), first="2.0")
@gives(
    "ts",
    Expected(seconds=8, channels=2, parts=(part(0.2, 3.8, 880, 880), part(4.3, 7.8, 440, 440))),
    label="back",
    first="5.1",
)
def broadcast_changes_its_layout(path: Path, first: str) -> None:
    """A broadcast has its advertisements in stereo and its film in 5.1, with the voices in the centre."""
    advertisement = (chord(440, 440, seconds=4), "192k")
    film = (chord(None, None, 880, None, None, None, seconds=4, layout="5.1(side)"), "384k")
    pieces = []
    for number, (source, rate) in enumerate((advertisement, film) if first == "2.0" else (film, advertisement)):
        pieces.append(beside(path, f"{number}.ts"))
        late = ["-output_ts_offset", str(4 * number)]
        make(pieces[-1], pictures(4, rate=25), source, arguments=[*MPEG2, "-c:a", "ac3", "-b:a", rate, *late])
    joined(path, *pieces)


@gives("ts", stereo(8, tolerance=0.15, left=None, right=None, channels=None))
def broadcast_becomes_stereo(path: Path) -> None:
    """A broadcast changes from mono to stereo in MPEG audio."""
    pieces = []
    for number, source in enumerate((tone(440, 4), sound(4))):
        pieces.append(beside(path, f"{number}.ts"))
        late = ["-output_ts_offset", str(4 * number)]
        make(pieces[-1], pictures(4, rate=25), source, arguments=[*MPEG2, "-c:a", "mp2", *late])
    joined(path, *pieces)


@also_gives(
    "ogg",
    tones(440, 880, seconds=3, tolerance=0.2),
    fails("corrupt-media", "truncated-media", "unsupported-media"),
)
def rate_of_a_radio_stream_changes(path: Path) -> None:
    """The songs of a radio stream have different rates: the second one is not lost without a word."""
    pieces = [beside(path, f"{hz}.ogg") for hz in (440, 880)]
    for piece, hz, rate_hz in zip(pieces, (440, 880), (44_100, 48_000), strict=True):
        make(piece, tone(hz, 3, rate_hz=rate_hz), arguments=["-c:a", "libvorbis"])
    joined(path, *pieces)


@also_gives("mp3", tones(440, 880, seconds=3, tolerance=0.2), label="rate", rates_hz=(44_100, 48_000))
@also_gives("mp3", tones(440, 880, seconds=3, tolerance=0.2), label="low rate", rates_hz=(48_000, 22_050))
def two_different_mp3s_are_joined(path: Path, rates_hz: tuple[int, int]) -> None:
    """Two MP3s of different rates were joined with cat, so they must be encoded again."""
    pieces = [beside(path, f"{hz}.mp3") for hz in (440, 880)]
    for piece, hz, rate_hz in zip(pieces, (440, 880), rates_hz, strict=True):
        make(piece, tone(hz, 3, rate_hz=rate_hz), arguments=["-c:a", "libmp3lame"])
    joined(path, *pieces)
