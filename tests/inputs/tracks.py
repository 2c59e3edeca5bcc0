"""Files with several soundtracks, of which one is meant."""

from pathlib import Path

from tests.inputs.expected import OTHER_TRACK, Expected, mono, stereo
from tests.inputs.making import (
    MPEG2,
    MPEG4,
    beside,
    box,
    chord,
    make,
    other,
    patched,
    pictures,
    silence,
    tone,
    ts_packets,
    ts_pid,
)
from tests.inputs.making import stereo as sound
from tests.inputs.recipe import also_gives, gives


@gives("mkv", stereo(4, no_frames=("TIT2",)))
@also_gives("mp4", stereo(4, no_frames=("TIT2",)))
def commentary_comes_first(path: Path) -> None:
    """A disc rip lists the director's commentary before the film, which is the default: the film is heard."""
    make(
        path,
        *(pictures(4), other(4), sound(4)),
        arguments=[
            *(*MPEG4, "-c:a", "aac", "-metadata:s:a:0", "title=Director's Commentary"),
            *("-disposition:a:0", "comment", "-disposition:a:1", "default"),
        ],
    )


@also_gives("mkv", stereo(3), label="hearing impaired", role="hearing_impaired")
@also_gives("mkv", stereo(3), label="visual impaired", role="visual_impaired")
@also_gives("mkv", stereo(3), label="comment by default", role="comment+default")
def track_for_some_comes_first(path: Path, role: str) -> None:
    """A film lists a track for some viewers first: the one for everyone is heard."""
    roles = ["-default_mode", "passthrough", "-disposition:a:0", role, "-disposition:a:1", "0"]
    make(path, pictures(3), other(3), sound(3), arguments=[*MPEG4, "-c:a", "libopus", *roles])


@gives("mkv", stereo(3))
def only_track_is_a_description(path: Path) -> None:
    """A programme has nothing but its audio description: that is better than nothing."""
    make(path, pictures(3), sound(3), arguments=[*MPEG4, "-c:a", "aac", "-disposition:a:0", "visual_impaired"])


@gives("ts", stereo(4))
def narration_of_a_broadcast_comes_first(path: Path) -> None:
    """A British broadcast lists the narration for the blind first, in mono: the programme is heard, in stereo."""
    make(
        path,
        *(pictures(4, rate=25), tone(1500, 4), sound(4)),
        arguments=[
            *(*MPEG2, "-c:a", "mp2", "-metadata:s:a:0", "language=nar", "-metadata:s:a:1", "language=eng"),
            *("-disposition:a:0", "visual_impaired+descriptions"),
        ],
    )


@gives("ts", stereo(6))
def announced_track_never_comes(path: Path) -> None:
    """A broadcast announces a narration that this programme does not have: the other track is heard."""
    whole = beside(path, "whole.ts")
    make(whole, pictures(6, rate=25), tone(1500, 6), sound(6), arguments=[*MPEG2, "-c:a", "mp2"])
    patched(whole, path, lambda data: b"".join(packet for packet in ts_packets(data) if ts_pid(packet) != 0x101))


@gives("mp4", stereo(3), codec="ac-4")
@also_gives("mov", stereo(3), codec="apac")
def first_track_has_no_decoder(path: Path, codec: str) -> None:
    """A television or a phone adds a track in a codec that few can decode: the AAC beside it is heard."""
    whole = beside(path, f"whole{path.suffix}")
    make(whole, pictures(3), other(3), sound(3), arguments=[*MPEG4, "-c:a:0", "ac3", "-c:a:1", "aac"])

    def rename(data: bytearray) -> None:
        at = box(data, "smhd", "stsd", "ac-3")
        data[at - 4 : at] = codec.encode()

    patched(whole, path, rename)


@gives("mkv", stereo(3, warnings=OTHER_TRACK))
@also_gives("mp4", stereo(3, warnings=OTHER_TRACK))
def default_track_is_silent(path: Path) -> None:
    """A screen recorder has one track for the desktop, which was silent, and one for the microphone."""
    make(path, pictures(3), silence(3), sound(3), arguments=[*MPEG4, "-c:a", "aac"])


@gives("mkv", stereo(3))
def default_track_is_the_second(path: Path) -> None:
    """A film in two languages, of which the second is marked as the default."""
    roles = ["-disposition:a:0", "0", "-disposition:a:1", "default"]
    languages = ["-metadata:s:a:0", "language=fra", "-metadata:s:a:1", "language=deu"]
    make(path, pictures(3), other(3), sound(3), arguments=[*MPEG4, "-c:a", "aac", *roles, *languages])


@gives("mkv", stereo(3))
def second_track_has_more_channels(path: Path) -> None:
    """A camera keeps the mono of its own microphone before the stereo of the one on top; neither is the default."""
    roles = ["-default_mode", "passthrough", "-disposition:a", "0"]
    make(path, pictures(3), tone(1500, 3), sound(3), arguments=[*MPEG4, "-c:a", "flac", *roles])


@gives("mxf", stereo(4), count=8)
@also_gives("mxf", stereo(4), label="two", count=2)
def sides_are_tracks(path: Path, count: int) -> None:
    """A broadcaster's file has left and right as mono tracks, and silent ones behind them: stereo is heard."""
    sides = [tone(440, 4), tone(880, 4), *[tone(440, 4, level=0)] * (count - 2)]
    make(path, pictures(4, size="720x576", rate=25), *sides, arguments=[*MPEG2, "-c:a", "pcm_s24le"])


@gives("mov", stereo(3))
def sides_are_named_tracks(path: Path) -> None:
    """An editor's QuickTime file has left and right as mono tracks that say which side they are."""
    sides = [chord(440, seconds=3, layout="FL"), chord(880, seconds=3, layout="FR")]
    make(path, pictures(3), *sides, arguments=[*MPEG4, "-c:a", "pcm_s16le"])


@gives(
    "mov",
    stereo(3),
    Expected(seconds=3, channels=2, left=(440, 1320, 1760), right=(880, 1320, 2200)),
    Expected(seconds=3, channels=2, left=(440, 1320, 1760), right=(880, 1320, 1980)),
)
def surround_is_six_tracks(path: Path) -> None:
    """A mastering house delivers 5.1 as six mono tracks: they are mixed down, or at least both fronts are heard."""
    each = [tone(hz, 3, level=0.2) for hz in (440, 880, 1320, 110, 1760, 2200)]
    make(path, pictures(3), *each, arguments=[*MPEG4, "-c:a", "pcm_s24le"])


@gives("mov", Expected(seconds=3, peak_at_most=1.0))
@also_gives("wav", Expected(seconds=3, peak_at_most=1.0))
def ten_channels_without_a_layout(path: Path) -> None:
    """A field recorder writes ten microphones into one track."""
    arguments = ["-c:a", "pcm_s16le"]
    microphones = chord(440, 880, *[1500] * 8, seconds=3, layout="10c", level=0.2)
    if path.suffix == ".wav":
        make(path, microphones, arguments=arguments)
    else:
        make(path, pictures(3), microphones, arguments=[*MPEG4, *arguments])


@gives("mka", stereo(3))
def sound_alone(path: Path) -> None:
    """A file with one soundtrack and no pictures is what some recorders call a video."""
    make(path, sound(3), arguments=["-c:a", "libvorbis"])


@gives("mp4", mono(3, quiet=True))
def one_microphone(path: Path) -> None:
    """A phone records in mono, and the MP3 is mono."""
    make(path, pictures(3), tone(440, 3), arguments=[*MPEG4, "-c:a", "aac"])
