"""Files whose time does not begin at zero, or jumps."""

from pathlib import Path

from tests.inputs.expected import Expected, mono, stereo, tones
from tests.inputs.making import (
    LIVE_MP4,
    MPEG2,
    MPEG4,
    VP8,
    beside,
    get,
    joined,
    make,
    ogg_pages,
    ogg_sign,
    patched,
    pictures,
    put,
    tone,
)
from tests.inputs.making import stereo as sound
from tests.inputs.recipe import also_gives, gives

_HOUR_S = 3600
_DVD = ("-c:v", "mpeg2video", "-c:a", "ac3", "-f", "dvd")


@gives("mkv", stereo(5, quiet=True), offset_s=_HOUR_S)
@also_gives("webm", stereo(5, quiet=True), offset_s=_HOUR_S)
@also_gives("ts", stereo(5, quiet=True), offset_s=_HOUR_S)
@also_gives("mp4", stereo(5, quiet=True), offset_s=_HOUR_S)
@also_gives("wmv", stereo(5, quiet=True), offset_s=_HOUR_S)
@also_gives("mkv", stereo(5, quiet=True), label="2 s", offset_s=2)
def part_keeps_the_time_of_the_whole(path: Path, offset_s: int) -> None:
    """A recording is split into parts, each of which goes on where the last one ended: no silence comes first."""
    codecs = {
        ".webm": (*VP8, "-c:a", "libopus"),
        ".ts": (*MPEG2, "-c:a", "mp2"),
        ".wmv": ("-c:v", "wmv2", "-c:a", "wmav2"),
    }
    chosen = codecs.get(path.suffix, (*MPEG4, "-c:a", "aac"))
    make(path, pictures(5, rate=25), sound(5), arguments=[*chosen, "-output_ts_offset", str(offset_s)])


@gives("mp4", stereo(5, quiet=True))
def live_stream_was_joined_late(path: Path) -> None:
    """A fragmented MP4 was recorded from the middle of a stream, whose time goes on."""
    late = ["-output_ts_offset", "1867", "-avoid_negative_ts", "disabled", "-use_editlist", "0"]
    make(path, pictures(5), sound(5), arguments=[*MPEG4, "-c:a", "aac", *late, *LIVE_MP4])


@gives("flv", stereo(6, quiet=True))
def flash_stream_was_joined_late(path: Path) -> None:
    """An FLV of a live stream has no duration, and its time begins at 47 minutes."""
    late = ["-output_ts_offset", "2838", "-flvflags", "no_duration_filesize"]
    make(path, pictures(6), sound(6, rate_hz=44_100), arguments=["-c:v", "flv1", "-c:a", "aac", *late])


@gives("ogg", stereo(4, quiet=True))
@also_gives("opus", stereo(4, quiet=True), codec="libopus")
def radio_was_joined_late(path: Path, codec: str = "libvorbis") -> None:
    """A radio stream in Ogg was recorded an hour after it had begun, and its positions count from there."""
    whole = beside(path, f"whole{path.suffix}")
    make(whole, sound(4), arguments=["-c:a", codec])

    def shift(data: bytearray) -> None:
        for start, end in ogg_pages(data):
            if (position := get(data, start + 6, "<q")) > 0:
                put(data, start + 6, "<q", position + _HOUR_S * 48_000)
            ogg_sign(data, start, end)

    patched(whole, path, shift)


@gives("vob", mono(5, quiet=True))
def one_file_of_a_disc(path: Path) -> None:
    """One VOB was copied from a DVD, where its time begins at an hour."""
    disc = pictures(5, size="720x576", rate=25)
    make(path, disc, tone(440, 5), arguments=["-output_ts_offset", str(_HOUR_S), *_DVD])


@gives("ts", stereo(10, quiet=True))
def broadcast_passes_the_end_of_its_clock(path: Path) -> None:
    """A broadcast's clock has 33 bits and begins again after 26.5 hours, in the middle of this recording."""
    make(path, pictures(10, rate=25), sound(10), arguments=[*MPEG2, "-c:a", "mp2", "-output_ts_offset", "95438"])


@gives("ts", stereo(10, tolerance=0.15), label="1 h", jump_s=_HOUR_S)
@also_gives("ts", stereo(10, tolerance=0.15), label="65 s", jump_s=65)
@also_gives("ts", stereo(10, tolerance=0.15), label="11 h", jump_s=11 * _HOUR_S)
@also_gives("ts", stereo(10, tolerance=0.15), label="back", jump_s=0)
def two_broadcasts_are_joined(path: Path, jump_s: int) -> None:
    """Two pieces of a broadcast were joined, and the clock jumps in between: no silence fills the jump."""
    pieces = [beside(path, f"{number}.ts") for number in range(2)]
    for number, piece in enumerate(pieces):
        late = ["-output_ts_offset", str(number * jump_s)]
        make(piece, pictures(5, rate=25), sound(5), arguments=[*MPEG2, "-c:a", "mp2", *late])
    joined(path, *pieces)


@gives("vob", tones(440, 880, seconds=5, tolerance=0.15))
def files_of_a_disc_are_joined(path: Path) -> None:
    """Two VOBs were joined with cat, and their clocks both begin at zero."""
    pieces = [beside(path, f"{hz}.vob") for hz in (440, 880)]
    for piece, hz in zip(pieces, (440, 880), strict=True):
        make(piece, pictures(5, size="720x576", rate=25), tone(hz, 5), arguments=_DVD)
    joined(path, *pieces)


@gives("mkv", Expected(seconds=4, left=(440,), right=(880,), tolerance=0.05, quiet=True))
def pictures_begin_late(path: Path) -> None:
    """A podcast shows its first picture after 2 s of sound."""
    make(path, sound(4), pictures(2), arguments=["-c:a", "flac", *MPEG4], late_s=2)
