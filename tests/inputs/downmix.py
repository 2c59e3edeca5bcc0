"""More channels than two, levels over full scale, and stereo that must stay as it is."""

import wave
from pathlib import Path

from tests.inputs.expected import Expected, mono, stereo
from tests.inputs.making import MPEG4, beside, channels, chord, copy, make, pictures, tone
from tests.inputs.making import stereo as sound
from tests.inputs.recipe import also_gives, gives

# A sine of 0.25, as loud in the MP3 as where it came from.
_RMS = 0.177
_CENTRE = mono(3, channels=2, rms=_RMS)


@gives("mkv", _CENTRE, label="aac", codec="aac")
@gives("mkv", _CENTRE, label="ac3", codec="ac3")
@also_gives("mkv", _CENTRE, label="eac3", codec="eac3")
@gives("mkv", _CENTRE, label="dca", codec="dca")
@gives("mkv", _CENTRE, label="flac", codec="flac")
@also_gives("mkv", _CENTRE, label="opus", codec="libopus")
@also_gives("mkv", _CENTRE, label="vorbis", codec="libvorbis")
@also_gives("mkv", _CENTRE, label="truehd", codec="truehd")
@also_gives("mkv", _CENTRE, label="wavpack", codec="wavpack")
@also_gives("mov", _CENTRE, label="pcm", codec="pcm_s24le")
@also_gives("mp4", _CENTRE, label="alac", codec="alac")
@also_gives("mkv", _CENTRE, label="pcm float", codec="pcm_f32le")
def people_speak_in_the_centre(path: Path, codec: str) -> None:
    """In 5.1 people speak in the centre: they are as loud as the front, whatever the codec."""
    rate = ["-b:a", "448k"] if codec in {"ac3", "eac3"} else []
    layout = "5.1" if codec in {"libopus", "libvorbis"} else "5.1(side)"
    centre = chord(None, None, 440, None, None, None, seconds=3, layout=layout)
    make(path, centre, pictures(3), arguments=[*MPEG4, "-strict", "-2", "-c:a", codec, *rate])


@gives("mkv", _CENTRE, layout="7.1", before=2, behind=5)
@also_gives("mkv", _CENTRE, label="3.0", layout="3.0", before=2, behind=0)
@also_gives("mkv", _CENTRE, label="5.0", layout="5.0", before=2, behind=2)
def people_speak_in_the_centre_of(path: Path, layout: str, before: int, behind: int) -> None:
    """Other layouts have a centre too."""
    centre = chord(*[None] * before, 440, *[None] * behind, seconds=3, layout=layout)
    make(path, centre, pictures(3), arguments=[*MPEG4, "-c:a", "flac"])


@gives("mkv", Expected(seconds=4, left=(440,), right=(440,), peak_at_most=1.0), codec="ac3", more=("-b:a", "448k"))
@also_gives("mkv", Expected(seconds=4, left=(440,), right=(440,), peak_at_most=1.0), label="flac", codec="flac")
@also_gives("mkv", Expected(seconds=4, left=(440,), right=(440,), peak_at_most=1.0), label="dca", codec="dca")
def loud_film(path: Path, codec: str, more: tuple[str, ...] = ()) -> None:
    """A loud scene fills all speakers: their sum does not clip."""
    fronts, rears = ["0.85*sin(2*PI*440*t)"] * 3, ["0.6*sin(2*PI*440*t)"] * 2
    scene = channels(*fronts, "0", *rears, seconds=4, layout="5.1(side)" if codec == "dca" else "5.1")
    make(path, scene, pictures(4), arguments=[*MPEG4, "-strict", "-2", "-c:a", codec, *more])


@gives("mov", mono(3, peak_at_most=1.0, channels=2), level=1.6)
@also_gives("wav", mono(3, peak_at_most=1.0, channels=2), level=1.6)
@also_gives("mka", mono(3, peak_at_most=1.0, channels=2), level=4.0)
def float_sound_over_full_scale(path: Path, level: float) -> None:
    """An editor exports float samples over full scale: they are limited, not clipped."""
    arguments = ["-c:a", "pcm_f32le"]
    loud = chord(440, 440, seconds=3, level=level)
    if path.suffix == ".mov":
        make(path, pictures(3), loud, arguments=[*MPEG4, *arguments])
    else:
        make(path, loud, arguments=arguments)


@gives("mkv", stereo(4))
def surround_with_sound_in_front(path: Path) -> None:
    """A disc's TrueHD in 5.1, in which only the front speakers are used."""
    front = chord(440, 880, None, None, None, None, seconds=4, layout="5.1(side)")
    make(path, pictures(4), front, arguments=[*MPEG4, "-strict", "-2", "-c:a", "truehd"])


@gives("mkv", Expected(seconds=4, peak_at_most=1.0))
def four_channels_without_a_layout(path: Path) -> None:
    """A bot recorded four people into one track of Opus that names no speakers."""
    people = chord(440, 880, None, None, seconds=4, layout="4c", level=0.2)
    make(path, pictures(4), people, arguments=[*MPEG4, "-c:a", "libopus", "-mapping_family", "255"])


@gives("mkv", Expected(seconds=4, channels=2, left=(), right=(880,)))
@also_gives("mp4", Expected(seconds=4, channels=2, left=(), right=(880,)))
def microphone_on_one_side(path: Path) -> None:
    """A microphone was plugged into the right channel only."""
    make(path, pictures(4), chord(None, 880, seconds=4), arguments=[*MPEG4, "-c:a", "aac"])


@gives("mkv", mono(4, channels=2, rms=_RMS))
def sides_are_opposite(path: Path) -> None:
    """A balanced microphone in a stereo socket makes one side the inverse of the other: the two are not summed."""
    opposite = channels("0.25*sin(2*PI*440*t)", "-0.25*sin(2*PI*440*t)", seconds=4)
    make(path, pictures(4), opposite, arguments=[*MPEG4, "-c:a", "aac"])


@gives("mp4", stereo(3, rms=_RMS, quiet=True), codec="aac")
@also_gives("mkv", stereo(3, rms=_RMS, quiet=True), codec="flac")
@also_gives("mkv", stereo(3, rms=_RMS, quiet=True), label="ac3", codec="ac3")
def stereo_keeps_its_level(path: Path, codec: str) -> None:
    """What is stereo already comes out as loud as it was."""
    make(path, pictures(3), sound(3), arguments=[*MPEG4, "-c:a", codec])


@also_gives("wav", mono(3, channels=2, rms=0.7, quiet=True))
@also_gives("mka", mono(3, channels=2, rms=0.7, quiet=True), codec="flac")
def sound_reaches_full_scale(path: Path, codec: str = "pcm_s16le") -> None:
    """A mastered song reaches full scale and no more: it keeps its level, and there is nothing to warn of."""
    make(path, chord(440, 440, seconds=3, level=0.99), arguments=["-c:a", codec])


@also_gives("wav", Expected(seconds=3, peak_at_most=1.0, failure=("unsupported-media",)), count=60)
@also_gives("wav", Expected(seconds=3, peak_at_most=1.0, failure=("unsupported-media",)), label="16", count=16)
@also_gives("mka", Expected(seconds=3, peak_at_most=1.0, failure=("unsupported-media",)), label="16", count=16)
def array_of_microphones(path: Path, count: int) -> None:
    """A laboratory records many microphones into one track: a mix of all, or the true reason why not."""
    one, all_of_them = beside(path, "one.wav"), beside(path, "all.wav")
    make(one, tone(440, 3, level=0.2), arguments=["-c:a", "pcm_s16le"])
    with wave.open(str(one)) as source, wave.open(str(all_of_them), "wb") as target:
        target.setparams(source.getparams()._replace(nchannels=count))
        samples = source.readframes(source.getnframes())
        target.writeframes(b"".join(samples[at : at + 2] * count for at in range(0, len(samples), 2)))
    copy(all_of_them, path)


@also_gives("mkv", Expected(seconds=3, channels=2, left=(440, 1320), right=(880, 1760)), label="quad", layout="quad")
@also_gives(
    "mkv", Expected(seconds=3, channels=2, left=(440, 1320), right=(880, 1760)), label="4.0", layout="quad(side)"
)
def four_speakers(path: Path, layout: str) -> None:
    """Old surround recordings have two speakers in front and two behind."""
    make(path, chord(440, 880, 1320, 1760, seconds=3, layout=layout), arguments=["-c:a", "flac"])
