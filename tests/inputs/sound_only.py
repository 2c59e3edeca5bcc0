"""Videos of every container from which the page takes the sound alone, with what makes that hard."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tests.inputs.making import channels
from tests.media import ffmpeg

SECONDS = 3

_PICTURES = f"testsrc2=size=320x180:rate=25:duration={SECONDS}"
_COVER = "testsrc2=size=600x600"
_MPEG4 = ("-c:v:0", "mpeg4", "-q:v:0", "3")
_B_FRAMES = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "3", "-b_strategy", "0", "-crf", "18")
_VP8 = ("-c:v", "libvpx", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M")
_MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3")
_FRAGMENTS = ("-g", "25", "-movflags")
_TAGS = {"title": "Ein Weg; im = Park 🎵", "artist": "Zoë", "album": "Días", "date": "2014-11-08", "composer": "Dvořák"}
_CHAPTERS = """;FFMETADATA1
[CHAPTER]
TIMEBASE=1/1000
START=0
END=1500
title=Anfang
[CHAPTER]
TIMEBASE=1/1000
START=1500
END=2910
title=Пролог 🎵
"""


class Video(NamedTuple):
    """How one is made. Its soundtracks begin `late_s` after the pictures."""

    name: str
    arguments: Sequence[str]
    soundtracks: int = 1
    late_s: float = 0
    rate_hz: int = 48_000
    seconds: float = SECONDS
    with_cover: bool = False
    with_chapters: bool = False

    def make(self, path: Path) -> None:
        """Write it. Chirps tell every place in it from every other."""
        sounds = [
            channels(
                f"0.3*sin(2*PI*{hz}*t*(1+t))",
                f"0.3*sin(2*PI*{hz + 130}*t*(1+t/2))",
                seconds=self.seconds,
                rate_hz=self.rate_hz,
            )
            for hz in range(200, 200 + 100 * self.soundtracks, 100)
        ]
        late = ["-itsoffset", str(self.late_s)] if self.late_s else []
        inputs = ["-f", "lavfi", "-i", _PICTURES]
        inputs += chain.from_iterable([*late, "-f", "lavfi", "-i", sound] for sound in sounds)
        maps = [part for number in range(self.soundtracks + 1) for part in ("-map", str(number))]
        if self.with_cover:
            cover = path.with_suffix(".png")
            ffmpeg("-f", "lavfi", "-i", _COVER, "-frames:v", "1", "-update", "1", str(cover))
            if path.suffix == ".mkv":
                maps += ["-attach", str(cover), "-metadata:s:t", "mimetype=image/png"]
                maps += ["-metadata:s:t", "filename=cover.png"]
            else:
                inputs += ["-i", str(cover)]
                maps += ["-map", str(self.soundtracks + 1), "-c:v:1", "copy", "-disposition:v:1", "attached_pic"]
        if self.with_chapters:
            chapters = path.with_suffix(".txt")
            chapters.write_text(_CHAPTERS)
            inputs += ["-i", str(chapters)]
            maps += ["-map_chapters", str(self.soundtracks + 1 + (self.with_cover and path.suffix != ".mkv"))]
        ffmpeg("-threads", "1", *inputs, *maps, *self.arguments, str(path))


def _tagged(*names: str) -> list[str]:
    return [part for name in names or _TAGS for part in ("-metadata", f"{name}={_TAGS[name]}")]


def _languages(*languages: str) -> list[str]:
    named = enumerate(languages)
    return [
        part
        for number, language in named
        for part in (
            f"-metadata:s:a:{number}",
            f"language={language}",
            f"-metadata:s:a:{number}",
            f"title=In {language}",
        )
    ]


VIDEOS = [
    Video("aac.mp4", [*_MPEG4, "-c:a", "aac"]),
    Video("aac-index-first.mp4", [*_MPEG4, "-c:a", "aac", "-movflags", "+faststart"]),
    Video("aac-at-44100.mp4", [*_MPEG4, "-c:a", "aac"], rate_hz=44_100),
    Video("aac-with-b-frames.mp4", [*_B_FRAMES, "-c:a", "aac"]),
    Video("aac-with-b-frames-without-edits.mp4", [*_B_FRAMES, "-c:a", "aac", "-use_editlist", "0"]),
    Video("aac-in-fragments.mp4", [*_MPEG4, "-c:a", "aac", *_FRAGMENTS, "+frag_keyframe+empty_moov"]),
    Video(
        "aac-in-based-fragments.mp4",
        [*_MPEG4, "-c:a", "aac", *_FRAGMENTS, "+frag_keyframe+empty_moov+default_base_moof"],
    ),
    Video("aac-in-fragments-after-an-index.mp4", [*_B_FRAMES, "-c:a", "aac", *_FRAGMENTS, "+frag_keyframe"]),
    Video("aac-in-segments.mp4", [*_B_FRAMES, "-c:a", "aac", *_FRAGMENTS, "+dash+frag_keyframe+global_sidx"]),
    Video("aac-late.mp4", [*_MPEG4, "-c:a", "aac"], late_s=0.7),
    Video(
        "aac-late-in-fragments.mp4", [*_B_FRAMES, "-c:a", "aac", *_FRAGMENTS, "+frag_keyframe+empty_moov"], late_s=0.7
    ),
    Video("aac-short.mp4", [*_MPEG4, "-c:a", "aac"], seconds=2),
    Video("aac-trimmed.mp4", [*_MPEG4, "-c:a", "aac", "-output_ts_offset", "-0.73"]),
    Video(
        "aac-in-two-languages.mp4",
        [*_MPEG4, "-c:a", "aac", *_languages("deu", "eng"), "-disposition:a:1", "default", "-disposition:a:0", "0"],
        soundtracks=2,
    ),
    Video("aac-with-everything.mp4", [*_MPEG4, "-c:a", "aac", *_tagged()], with_cover=True, with_chapters=True),
    Video(
        "aac-with-keys.mov",
        [*_B_FRAMES, "-c:a", "aac", *_tagged(), "-movflags", "+use_metadata_tags"],
        with_chapters=True,
    ),
    Video("mp3.mp4", [*_MPEG4, "-c:a", "libmp3lame"]),
    Video("ac3.mp4", [*_MPEG4, "-c:a", "ac3"]),
    Video("eac3.mp4", [*_B_FRAMES, "-c:a", "eac3"]),
    Video("opus.mp4", [*_MPEG4, "-c:a", "libopus"]),
    Video("flac.mp4", [*_MPEG4, "-c:a", "flac"]),
    Video("alac.mov", [*_MPEG4, "-c:a", "alac"]),
    Video("pcm.mov", [*_MPEG4, "-c:a", "pcm_s16le"]),
    Video("pcm-24-late.mov", [*_MPEG4, "-c:a", "pcm_s24be"], late_s=0.31),
    Video("adpcm.mov", [*_MPEG4, "-c:a", "adpcm_ima_qt"]),
    Video("aac.mkv", [*_B_FRAMES, "-c:a", "aac"]),
    Video("aac-with-everything.mkv", [*_MPEG4, "-c:a", "aac", *_tagged()], with_cover=True, with_chapters=True),
    Video(
        "flac-in-three-languages.mkv",
        [*_MPEG4, "-c:a", "flac", *_languages("ger", "eng", "fre"), "-disposition:a:0", "comment"],
        soundtracks=3,
    ),
    Video("mp3.mkv", [*_MPEG4, "-c:a", "libmp3lame"]),
    Video("ac3-late.mkv", [*_MPEG4, "-c:a", "ac3"], late_s=1.2),
    Video("eac3-short.mkv", [*_MPEG4, "-c:a", "eac3"], seconds=2),
    Video("vorbis.mkv", [*_MPEG4, "-c:a", "libvorbis"]),
    Video("dts.mkv", [*_MPEG4, "-c:a", "dca", "-strict", "-2"]),
    Video("pcm.mkv", [*_MPEG4, "-c:a", "pcm_s16le"]),
    Video("opus.webm", [*_VP8, "-c:a", "libopus"]),
    Video("vorbis-late.webm", [*_VP8, "-c:a", "libvorbis"], late_s=0.5),
    Video("opus-recorded-live.webm", [*_VP8, "-c:a", "libopus", "-live", "1"]),
    Video("aac.ts", [*_B_FRAMES, "-c:a", "aac"]),
    Video("aac-late.ts", [*_MPEG2, "-c:a", "aac"], late_s=0.8),
    Video("ac3-in-two-languages.ts", [*_MPEG2, "-c:a", "ac3", *_languages("deu", "eng")], soundtracks=2),
    Video("eac3.ts", [*_MPEG2, "-c:a", "eac3"]),
    Video("mp2.ts", [*_MPEG2, "-c:a", "mp2"]),
    Video("mp3.ts", [*_B_FRAMES, "-c:a", "libmp3lame"]),
    Video("ac3.m2ts", [*_B_FRAMES, "-c:a", "ac3", "-mpegts_m2ts_mode", "1", "-f", "mpegts"]),
]
