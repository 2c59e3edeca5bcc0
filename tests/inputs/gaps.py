"""Recordings with gaps, which are part of the sound: every second stays beside its pictures."""

from pathlib import Path

from tests.inputs.expected import FILLED, part, stereo
from tests.inputs.making import (
    LIVE_MP4,
    MPEG2,
    MPEG4,
    VP8,
    beside,
    boxes,
    copy,
    make,
    media_bytes,
    patched,
    pictures,
    ts_packets,
    ts_pid,
    zeros,
)
from tests.inputs.making import stereo as sound
from tests.inputs.recipe import also_gives, gives

_DAMAGED = ("corrupt-media",)
_MUTED = stereo(12, silent=((1, 3), (5, 7), (9, 11)), parts=(part(3.2, 4.8, 440, 880), part(7.2, 8.8, 440, 880)))
_LATE = stereo(8, silent=((0, 4),), parts=(part(4.2, 7.8, 440, 880),))


@gives("webm", _MUTED)
@also_gives("mkv", _MUTED)
def microphone_was_muted(path: Path) -> None:
    """A call was recorded packet by packet, and a muted microphone sends none: the pauses stay."""
    whole = beside(path, f"whole{path.suffix}")
    make(whole, pictures(12), sound(12), arguments=[*VP8, "-c:a", "libopus"])
    _drop(whole, path, "between(mod(pts*tb,4),1,3)")


@gives("mkv", _LATE)
@also_gives("mp4", _LATE)
@also_gives("mov", _LATE, codec="pcm_s16le")
@also_gives("webm", _LATE, codec="libopus")
@also_gives("ts", _LATE)
@also_gives("flv", _LATE, rate_hz=44_100)
def sound_begins_late(path: Path, codec: str = "aac", rate_hz: int = 48_000) -> None:
    """The microphone was plugged in 4 s after the camera had started: 4 s of silence come first."""
    video = {".webm": VP8, ".ts": MPEG2, ".flv": ("-c:v", "flv1")}.get(path.suffix, MPEG4)
    make(path, pictures(8), sound(4, rate_hz=rate_hz), arguments=[*video, "-c:a", codec], late_s=4)


@also_gives("mkv", _LATE)
@also_gives("mp4", _LATE)
def mp3_begins_late(path: Path) -> None:
    """A film has MP3 as its sound, which begins after 4 s, so it cannot be copied as it is."""
    make(path, pictures(8), sound(4), arguments=[*MPEG4, "-c:a", "libmp3lame"], late_s=4)


@also_gives(
    "mkv", stereo(10, silent=((4, 7),), parts=(part(0.2, 3.8, 440, 880), part(7.3, 9.8, 440, 880)), warnings=FILLED)
)
def mp3_has_a_gap(path: Path) -> None:
    """A film has MP3 as its sound, of which 3 s are missing."""
    whole = beside(path, "whole.mkv")
    make(whole, pictures(10), sound(10), arguments=[*MPEG4, "-c:a", "libmp3lame"])
    _drop(whole, path, "between(pts*tb,4,7)")


@also_gives("mkv", stereo(5, silent=((0, 2),), parts=(part(2.2, 4.8, 440, 880),)))
@also_gives("ts", stereo(5, silent=((0, 2),), parts=(part(2.2, 4.8, 440, 880),)))
def part_of_a_whole_begins_with_pictures(path: Path) -> None:
    """A part keeps the time of the whole, and its sound begins 2 s after its pictures: only these are filled."""
    video = MPEG2 if path.suffix == ".ts" else MPEG4
    arguments = [*video, "-c:a", "aac", "-output_ts_offset", "3600"]
    make(path, pictures(5, rate=25), sound(3), arguments=arguments, late_s=2)


@gives("ts", stereo(16, silent=((0, 12),)), stereo(4))
def sound_begins_behind_many_pictures(path: Path) -> None:
    """A broadcast was recorded from 12 s before the sound came, behind 8 MB of pictures."""
    noise = "nullsrc=size=352x288:rate=25:duration=16,geq=random(1)*255:128:128"
    rate = ["-b:v", "6M", "-minrate", "6M", "-maxrate", "6M", "-bufsize", "2M"]
    make(path, noise, sound(4), arguments=["-c:v", "mpeg2video", *rate, "-c:a", "aac"], late_s=12)


@gives("mkv", stereo(4))
@also_gives("mp4", stereo(4))
def sound_ends_before_the_pictures(path: Path) -> None:
    """The microphone was switched off and the camera went on: no silence follows the sound."""
    make(path, pictures(8), sound(4), arguments=[*MPEG4, "-c:a", "aac"])


_STRETCH_LOST = stereo(
    10, silent=((4, 7),), parts=(part(0.2, 3.8, 440, 880), part(7.3, 9.8, 440, 880)), warnings=FILLED
)


@gives("flv", _STRETCH_LOST)
@also_gives("mkv", _STRETCH_LOST)
def stretch_of_a_live_stream_is_lost(path: Path) -> None:
    """A live stream was recorded over a bad line, and 3 s of its sound are missing in the middle."""
    whole = beside(path, f"whole{path.suffix}")
    video = ("-c:v", "flv1") if path.suffix == ".flv" else MPEG4
    make(whole, pictures(10), sound(10, rate_hz=44_100), arguments=[*video, "-c:a", "aac"])
    _drop(whole, path, "between(pts*tb,4,7)")


@gives("mkv", stereo(12, tolerance=0.25, warnings=FILLED))
def recorder_loses_a_little_every_two_seconds(path: Path) -> None:
    """A slow computer recorded its screen, and 0.2 s of sound are missing every 2 s."""
    whole = beside(path, "whole.mkv")
    make(whole, pictures(12), sound(12), arguments=[*MPEG4, "-c:a", "libopus"])
    _drop(whole, path, "gt(mod(pts*tb,2),1.79)")


@gives("mp4", stereo(12, silent=((4.2, 5.8),), warnings=FILLED))
def fragment_of_a_broadcast_is_lost(path: Path) -> None:
    """A stream was saved fragment by fragment, and one or two could not be fetched."""
    whole = beside(path, "whole.mp4")
    make(whole, pictures(12), sound(12), arguments=[*MPEG4, "-c:a", "aac", *LIVE_MP4])

    def lose(data: bytearray) -> bytes:
        kept, fragment = b"", -1
        for name, start, end in boxes(data):
            fragment += name == "moof"
            if fragment not in {4, 5} or name not in {"moof", "mdat"}:
                kept += data[start:end]
        return kept

    patched(whole, path, lose)


@gives("ts", stereo(20, silent=((10.3, 10.7),), warnings=FILLED))
def reception_was_bad_for_a_moment(path: Path) -> None:
    """A broadcast was recorded in a storm: a second of it is missing."""
    whole = beside(path, "whole.ts")
    make(whole, pictures(20, rate=25), sound(20), arguments=[*MPEG2, "-c:a", "mp2", "-b:a", "128k"])

    def lose(data: bytearray) -> bytes:
        packets = list(ts_packets(data))
        heard = [number for number, packet in enumerate(packets) if ts_pid(packet) == 0x101]
        lost = set(heard[len(heard) // 2 : len(heard) * 11 // 20])
        return b"".join(packet for number, packet in enumerate(packets) if number not in lost)

    patched(whole, path, lose)


@gives("mp4", stereo(20, silent=((5.3, 14.7),), warnings=FILLED, failure=_DAMAGED), hole=(0.25, 0.75))
@also_gives("mp4", stereo(20, silent=((10.2, 11.6),), warnings=FILLED), label="9 %", hole=(0.5, 0.59))
@also_gives("mp4", stereo(20, warnings=FILLED), label="2 %", hole=(0.5, 0.52))
@also_gives("mov", stereo(20, silent=((10.2, 11.6),), warnings=FILLED), label="9 %", hole=(0.5, 0.59))
def part_of_a_download_is_zeros(path: Path, hole: tuple[float, float]) -> None:
    """A download reserved its space and was never finished, so its index is right and a part of its media is zeros."""
    whole = beside(path, f"whole{path.suffix}")
    make(whole, sound(20), arguments=["-c:a", "aac", "-b:a", "128k", "-movflags", "+faststart"])

    def wipe(data: bytearray) -> None:
        media = media_bytes(data)
        zeros(data, *(media[round(share * len(media))] for share in hole))

    patched(whole, path, wipe)


@gives("mp4", stereo(60, silent=((30.4, 35.6),), warnings=FILLED))
def a_tenth_of_a_download_is_zeros(path: Path) -> None:
    """A card lost 6 s of a minute."""
    whole = beside(path, "whole.mp4")
    make(whole, sound(60, rate_hz=24_000), arguments=["-c:a", "aac", "-b:a", "96k", "-movflags", "+faststart"])

    def wipe(data: bytearray) -> None:
        media = media_bytes(data)
        zeros(data, media[len(media) // 2], media[len(media) * 6 // 10])

    patched(whole, path, wipe)


@gives(
    "mp3",
    stereo(25, tolerance=0.5, left=None, right=None, warnings=FILLED, failure=_DAMAGED),
    stereo(30, tolerance=0.5, left=None, right=None, warnings=FILLED),
)
def mp3_has_junk_in_the_middle(path: Path) -> None:
    """An audio book went through a bad disk: a sixth of it is junk, between whole frames."""
    whole = beside(path, "whole.mp3")
    make(whole, sound(30), arguments=["-c:a", "libmp3lame", "-b:a", "128k"])

    def spoil(data: bytearray) -> None:
        start, end = len(data) // 3, len(data) // 2
        data[start:end] = bytes((number * 167 + 13) % 251 for number in range(end - start))

    patched(whole, path, spoil)


def _drop(source: Path, path: Path, when: str) -> None:
    """Copy a file without the packets of its sound for which an expression of ffmpeg's noise filter holds."""
    copy(source, path, "-bsf:a", f"noise=drop='{when}'")
