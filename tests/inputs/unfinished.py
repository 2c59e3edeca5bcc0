"""Recordings that were never finished, files that are cut off, and files in which there is nothing to convert."""

from pathlib import Path

from tests.inputs.expected import UNFINISHED, fails, stereo
from tests.inputs.making import (
    LIVE_MP4,
    MPEG2,
    MPEG4,
    VP8,
    beside,
    box,
    boxes,
    cut_to,
    make,
    patched,
    pictures,
    put,
    tone,
)
from tests.inputs.making import stereo as sound
from tests.inputs.recipe import also_gives, gives

_CUT_OFF = fails("truncated-media")


@gives("mkv", stereo(6, tolerance=0.3, warnings=UNFINISHED))
@also_gives("webm", stereo(6, tolerance=0.3, warnings=UNFINISHED))
@gives("mp4", stereo(6, tolerance=0.3, warnings=UNFINISHED))
@also_gives("flv", stereo(6, tolerance=0.3, warnings=UNFINISHED))
def recorder_died(path: Path) -> None:
    """A recorder lost its power in the middle of a part: what is whole is heard."""
    live = {
        ".mkv": (*MPEG4, "-c:a", "aac", "-live", "1", "-f", "matroska"),
        ".webm": (*VP8, "-g", "10", "-c:a", "libopus", "-live", "1", "-f", "webm"),
        ".mp4": (*MPEG4, "-c:a", "aac", *LIVE_MP4),
        ".flv": ("-c:v", "flv1", "-c:a", "aac", "-flvflags", "no_duration_filesize"),
    }
    whole = beside(path, f"whole{path.suffix}")
    make(whole, pictures(8), sound(8, rate_hz=44_100), arguments=live[path.suffix])
    patched(whole, path, lambda data: cut_to(data, 0.75))


@gives("flv", stereo(6, warnings=UNFINISHED))
def last_tag_is_cut(path: Path) -> None:
    """A live stream broke off, and the last piece of the file is 60 bytes short."""
    whole = beside(path, "whole.flv")
    arguments = ["-c:v", "flv1", "-c:a", "aac", "-flvflags", "no_duration_filesize"]
    make(whole, pictures(6), sound(6, rate_hz=44_100), arguments=arguments)
    patched(whole, path, lambda data: bytes(data[:-60]))


@gives("ts", stereo(6, tolerance=0.3))
def recording_of_a_broadcast_stops_anywhere(path: Path) -> None:
    """A broadcast has no end, so a recording of it may stop anywhere, in the middle of a packet too."""
    whole = beside(path, "whole.ts")
    make(whole, pictures(8, rate=25), sound(8), arguments=[*MPEG2, "-c:a", "mp2"])
    patched(whole, path, lambda data: cut_to(data, 0.75))


@gives("aiff", _CUT_OFF, codec="pcm_s16be")
@also_gives("au", _CUT_OFF, codec="pcm_s16be")
@also_gives("avi", _CUT_OFF, codec="pcm_s16le")
@also_gives("caf", _CUT_OFF, codec="pcm_s16be")
@also_gives("flac", _CUT_OFF, codec="flac")
@also_gives("m4a", _CUT_OFF, codec="aac", more=("-movflags", "+faststart"))
@also_gives("mka", _CUT_OFF, codec="libvorbis")
@also_gives("mov", _CUT_OFF, codec="pcm_s16le", more=("-movflags", "+faststart"))
@also_gives("mp3", _CUT_OFF, codec="libmp3lame")
@also_gives("tta", _CUT_OFF, codec="tta")
@also_gives("w64", _CUT_OFF, codec="pcm_s16le")
@also_gives("wav", _CUT_OFF, codec="pcm_s16le")
@also_gives("wma", _CUT_OFF, codec="wmav2")
@also_gives("wv", _CUT_OFF, codec="wavpack")
def last_fiftieth_is_missing(path: Path, codec: str, more: tuple[str, ...] = ()) -> None:
    """A copy broke off shortly before its end, and the sound has an index that says so."""
    whole = beside(path, f"whole{path.suffix}")
    make(whole, tone(440, 20, rate_hz=16_000), arguments=["-c:a", codec, *more])
    patched(whole, path, lambda data: cut_to(data, 0.98))


@gives("mxf", _CUT_OFF)
def last_fiftieth_of_a_broadcasters_file_is_missing(path: Path) -> None:
    """A copy of an MXF broke off shortly before its end."""
    whole = beside(path, "whole.mxf")
    make(whole, pictures(4, size="720x576", rate=25), sound(4), arguments=[*MPEG2, "-c:a", "pcm_s16le"])
    patched(whole, path, lambda data: cut_to(data, 0.95))


@gives("mp4", _CUT_OFF, more=("-movflags", "+faststart"))
@also_gives("mkv", _CUT_OFF)
@also_gives("avi", _CUT_OFF)
@also_gives("wmv", _CUT_OFF)
def download_broke_off(path: Path, more: tuple[str, ...] = ()) -> None:
    """A download broke off at 60 %."""
    whole = beside(path, f"whole{path.suffix}")
    video = ("-c:v", "wmv2", "-c:a", "wmav2") if path.suffix == ".wmv" else (*MPEG4, "-c:a", "aac")
    make(whole, pictures(8), sound(8), arguments=[*video, *more])
    patched(whole, path, lambda data: cut_to(data, 0.6))


@gives("mp4", fails("truncated-media", "invalid-media"))
@also_gives("mov", fails("truncated-media", "invalid-media"))
def index_is_missing(path: Path) -> None:
    """A camera lost its power before it had written the index, which is at the end."""
    whole = beside(path, f"whole{path.suffix}")
    make(whole, pictures(5), sound(5), arguments=[*MPEG4, "-c:a", "aac"])
    patched(whole, path, lambda data: cut_to(data, 0.9))


@gives("ogg", _CUT_OFF)
def page_is_cut(path: Path) -> None:
    """A download broke off in the middle of an Ogg page."""
    whole = beside(path, "whole.ogg")
    make(whole, sound(5), arguments=["-c:a", "libvorbis"])
    patched(whole, path, lambda data: bytes(data[:-300]))


@gives("mp4", _CUT_OFF)
def only_the_beginning_of_a_stream(path: Path) -> None:
    """Only the first part of a stream was saved, which announces a soundtrack and holds none of it."""
    whole = beside(path, "whole.mp4")
    make(whole, pictures(3), sound(3), arguments=[*MPEG4, "-c:a", "aac", *LIVE_MP4])
    patched(whole, path, lambda data: bytes(data[: next(end for name, _, end in boxes(data) if name == "moov")]))


@gives("mp4", fails("no-audio-track"))
@also_gives("mkv", fails("no-audio-track"))
@also_gives("ts", fails("no-audio-track"))
@also_gives("avi", fails("no-audio-track"))
def silent_film(path: Path) -> None:
    """A screen was recorded without sound."""
    make(path, pictures(3, rate=25), arguments=MPEG2 if path.suffix == ".ts" else MPEG4)


@gives("mp4", fails("unsupported-media"))
@also_gives("mov", fails("unsupported-media"), codec="apac")
def only_track_has_no_decoder(path: Path, codec: str = "ac-4") -> None:
    """A broadcast of a new kind has nothing but AC-4, for which there is no decoder."""
    whole = beside(path, f"whole{path.suffix}")
    make(whole, pictures(3), sound(3), arguments=[*MPEG4, "-c:a", "ac3"])

    def rename(data: bytearray) -> None:
        at = box(data, "smhd", "stsd", "ac-3")
        data[at - 4 : at] = codec.encode()

    patched(whole, path, rename)


@gives("mp4", fails("encrypted-media"))
def film_is_encrypted(path: Path) -> None:
    """A film was saved as a streaming service sends it, encrypted."""
    keys = ["-encryption_key", "00112233445566778899aabbccddeeff", "-encryption_kid", "0" * 31 + "1"]
    encrypted = ["-encryption_scheme", "cenc-aes-ctr", *keys]
    make(path, pictures(3), sound(3), arguments=[*MPEG4, "-c:a", "aac", *encrypted])


@gives("m4a", fails("encrypted-media"))
def song_from_a_shop_is_protected(path: Path) -> None:
    """A song was bought when shops still protected them."""
    whole = beside(path, "whole.m4a")
    make(whole, sound(3), arguments=["-c:a", "aac"])

    def protect(data: bytearray) -> None:
        at = box(data, "smhd", "stsd", "mp4a")
        data[at - 4 : at] = b"drms"

    patched(whole, path, protect)


@gives("avi", stereo(5, tolerance=0.15))
def index_at_the_end_is_missing(path: Path) -> None:
    """An old camera's film has all its pictures and sound, but its index was lost."""
    whole = beside(path, "whole.avi")
    make(whole, pictures(5), sound(5), arguments=[*MPEG4, "-c:a", "libmp3lame"])

    def lose(data: bytearray) -> bytes:
        at = data.rindex(b"idx1")
        put(data, 4, "<I", at - 8)
        return bytes(data[:at])

    patched(whole, path, lose)


@also_gives("3gp", _CUT_OFF, codec="libopencore_amrnb")
@also_gives("mka", _CUT_OFF, codec="flac")
@also_gives("wav", _CUT_OFF, label="rf64", codec="pcm_s16le", more=("-rf64", "always"))
def a_third_is_missing(path: Path, codec: str, more: tuple[str, ...] = ()) -> None:
    """An upload to elsewhere broke off at two thirds."""
    whole = beside(path, f"whole{path.suffix}")
    faststart = ["-movflags", "+faststart"] if path.suffix == ".3gp" else []
    make(whole, tone(440, 9, rate_hz=8000), arguments=["-ac", "1", "-ar", "8000", "-c:a", codec, *faststart, *more])
    patched(whole, path, lambda data: cut_to(data, 0.67))


@also_gives("mp4", stereo(6, tolerance=0.6, warnings=UNFINISHED), share=0.7)
@also_gives("mp4", stereo(6, tolerance=0.6, warnings=UNFINISHED), label="80", share=0.8)
@also_gives("mkv", stereo(6, tolerance=0.6, warnings=UNFINISHED), share=0.7)
@also_gives("webm", stereo(6, tolerance=0.6, warnings=UNFINISHED), share=0.7)
def recorder_died_anywhere(path: Path, share: float) -> None:
    """A recorder lost its power at any place, in the middle of the list of a part's samples too."""
    kinds = {".mp4": LIVE_MP4, ".mkv": ("-live", "1", "-f", "matroska"), ".webm": ("-live", "1", "-f", "webm")}
    codecs = (*VP8, "-c:a", "libopus") if path.suffix == ".webm" else (*MPEG4, "-c:a", "aac")
    whole = beside(path, f"whole{path.suffix}")
    make(whole, pictures(6 / share), sound(6 / share), arguments=[*codecs, *kinds[path.suffix]])
    patched(whole, path, lambda data: cut_to(data, share))
