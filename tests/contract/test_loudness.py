"""How loud MP3s are, with ffmpeg's own meter as the judge: what the receipt says, and what a person asked for."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from functions.convert.encoder import Encoded
from functions.shared.options import Channels, Options, Quality, Tracks
from tests.attempts import attempt
from tests.contract.plain_ffmpeg import Measured, frames_of, measured, plain_mp3
from tests.inputs.listening import listen
from tests.inputs.making import channels, chord, make, silence, tone
from tests.media import ffmpeg

NEAR_LU = 0.5
NEAR_DB = 0.1
HIGHEST_DBTP = -1.0
# How exactly a meter shows its highest.
DISPLAY_DB = 0.05
# As many as the range of the option has, with what broadcasters, podcasts, music services and clubs ask for.
TARGETS = (-23.0, -16.0, -14.0, -9.0)

_SYLLABLES = "volume=eval=frame:volume='abs(sin(2*PI*2.3*t))*between(mod(t,2),0,1.4)'"
_DYNAMICS = "volume=eval=frame:volume='0.35+0.65*between(mod(t,2),1,1.6)'"
_ON_BOTH_SIDES = "pan=stereo|c0=c0|c1=c0"
_CHORD = "0.2*(sin(2*PI*220*t)+sin(2*PI*277*t)+sin(2*PI*330*t))"

# name: (ending, ffmpeg's source and filters, codec)
SOUNDS: Mapping[str, tuple[str, str, str]] = {
    "speech": (
        "wav",
        f"anoisesrc=c=pink:r=48000:a=0.9:seed=3:d=3,highpass=f=150,lowpass=f=3500,{_SYLLABLES},{_ON_BOTH_SIDES}",
        "pcm_s16le",
    ),
    "music": (
        "flac",
        f"aevalsrc={_CHORD}+0.1*random(0)|{_CHORD}+0.1*random(1):s=44100:d=3,{_DYNAMICS}",
        "flac",
    ),
    "dual mono": ("wav", f"sine=f=300:r=48000:d=2,tremolo=f=5:d=0.9,{_ON_BOTH_SIDES}", "pcm_s16le"),
    "mono": ("wav", "sine=f=300:r=48000:d=2,tremolo=f=5:d=0.9", "pcm_s16le"),
    "8 kHz": ("wav", "anoisesrc=c=pink:r=8000:a=0.5:seed=3:d=3", "pcm_s16le"),
    "5.1": ("mkv", chord(440, 660, 880, 1100, 1320, 1500, seconds=2, layout="5.1", level=0.08), "ac3"),
    "loud at its very end": ("wav", channels("0.1*sin(2*PI*440*t)*(1+7*gt(t\\,1.96))", seconds=2), "pcm_s16le"),
}


def made(folder: Path, sound: str) -> Path:
    ending, source, codec = SOUNDS[sound]
    path = folder / f"a.{ending}"
    ffmpeg("-f", "lavfi", "-i", source, "-c:a", codec, str(path))
    return path


def converted(source: Path, options: Options) -> tuple[Encoded, Measured]:
    mp3 = source.with_name("a.mp3")
    return attempt(source, mp3, options), measured(mp3)


def codes(encoded: Encoded) -> list[str]:
    return [note.code for note in encoded.notes]


def assert_told_truly(encoded: Encoded, judge: Measured) -> None:
    assert encoded.loudness.lufs is not None
    assert encoded.loudness.lufs == pytest.approx(judge.lufs, abs=NEAR_LU)
    assert encoded.loudness.peak_db == pytest.approx(judge.peak_db, abs=NEAR_DB)


def assert_reached(encoded: Encoded, judge: Measured, target: float) -> None:
    """A person who asks for a loudness gets it, or is told. It never gets louder than allowed."""
    assert_told_truly(encoded, judge)
    assert judge.lufs is not None
    assert abs(judge.lufs - target) <= NEAR_LU or "loudness-missed" in codes(encoded)
    assert judge.peak_db <= HIGHEST_DBTP + DISPLAY_DB


@pytest.mark.parametrize("sound", SOUNDS)
def test_the_receipt_says_how_loud_the_mp3_is(tmp_path, sound):
    """People compare it with what their podcast host demands, so it is that of the MP3 and not of the video."""
    source = made(tmp_path, sound)

    encoded, judge = converted(source, Options())

    assert_told_truly(encoded, judge)
    assert codes(encoded) == []


def test_mono_is_as_loud_as_the_same_on_both_sides(tmp_path):
    """It is heard from both loudspeakers; measured as one it would be 3 LU too quiet (EBU R 128, note on dual mono)."""
    one, both = (converted(made(tmp_path, sound), Options())[0].loudness.lufs for sound in ("mono", "dual mono"))

    assert one is not None
    assert one == pytest.approx(both, abs=NEAR_LU)


def test_a_copied_mp3_has_its_loudness_measured_as_well(tmp_path):
    """Nothing is encoded then, and the receipt tells it all the same."""
    source = tmp_path / "b.mp3"
    ffmpeg("-f", "lavfi", "-i", SOUNDS["music"][1], "-c:a", "libmp3lame", "-q:a", "2", str(source))

    encoded, judge = converted(source, Options())

    assert encoded.method == "copied"
    assert_told_truly(encoded, judge)


@pytest.mark.parametrize(
    ("sound", "target"), [*(("speech", target) for target in TARGETS), ("music", -23.0), ("music", -9.0)]
)
def test_a_loudness_is_reached_without_peaks_that_players_clip(tmp_path, sound, target):
    """EBU R 128 allows a true peak of -1 dBTP."""
    encoded, judge = converted(made(tmp_path, sound), Options(loudness=target))

    assert_reached(encoded, judge, target)
    if target <= -14:
        assert codes(encoded) == []


@pytest.mark.parametrize(
    ("sound", "options"),
    [
        pytest.param("dual mono", Options(loudness=-16.0), id="dual mono"),
        pytest.param("mono", Options(loudness=-16.0), id="mono"),
        pytest.param("mono", Options(loudness=-16.0, channels=Channels.STEREO), id="mono as stereo"),
        pytest.param("music", Options(loudness=-16.0, channels=Channels.MONO), id="stereo as mono"),
        pytest.param("speech", Options(loudness=-19.0, sample_rate=22_050), id="another rate"),
        pytest.param("speech", Options(loudness=-16.0, start=1.0, end=3.0), id="a part"),
        pytest.param("speech", Options(loudness=-16.0, quality=Quality.CBR_128), id="a low bit rate"),
        pytest.param("8 kHz", Options(loudness=-16.0), id="8 kHz"),
        pytest.param("5.1", Options(loudness=-16.0), id="5.1"),
        pytest.param("5.1", Options(loudness=-16.0, channels=Channels.MONO), id="5.1 as mono"),
    ],
)
def test_a_loudness_is_reached_whatever_else_is_asked_for(tmp_path, sound, options):
    """It is that of the MP3, with everything else done."""
    encoded, judge = converted(made(tmp_path, sound), options)

    assert options.loudness is not None
    assert_reached(encoded, judge, options.loudness)
    assert codes(encoded) == []


def test_a_mix_reaches_its_loudness(tmp_path):
    """Two microphones together are louder than each."""
    source = tmp_path / "a.mkv"
    make(source, tone(440, 2), tone(660, 2), arguments=["-c:a", "flac"])

    encoded, judge = converted(source, Options(loudness=-16.0, tracks=Tracks.MIX))

    assert_reached(encoded, judge, -16.0)


@pytest.mark.parametrize("rate_hz", [44_100, 96_000])
def test_a_loudness_does_not_change_the_rate(tmp_path, rate_hz):
    """Some filters that measure true peaks work at 192 kHz and leave the sound there."""
    source = tmp_path / "a.wav"
    make(source, tone(440, 1, rate_hz=rate_hz), arguments=["-c:a", "pcm_s16le"])

    asked, plain = (converted(source, options)[0].facts for options in (Options(loudness=-23.0), Options()))

    assert asked.sample_rate_hz == plain.sample_rate_hz == min(rate_hz, 48_000)
    assert asked.samples == plain.samples


def test_silence_stays_silent(tmp_path):
    """Nothing can make it louder, and noise must not come from nowhere."""
    source = tmp_path / "a.wav"
    make(source, silence(1), arguments=["-c:a", "pcm_s16le"])

    encoded, judge = converted(source, Options(loudness=-16.0))

    assert listen(tmp_path / "a.mp3").peak == 0
    assert encoded.loudness == (None, None)
    assert judge.lufs is None
    assert codes(encoded) == ["loudness-missed"]


def test_very_quiet_sound_becomes_as_loud_as_asked(tmp_path):
    """A recorder whose gain was at its lowest: about -60 LUFS, in 24 bits."""
    source = tmp_path / "a.wav"
    ffmpeg("-f", "lavfi", "-i", f"{SOUNDS['speech'][1]},volume=-42dB", "-c:a", "pcm_s24le", str(source))

    assert_reached(*converted(source, Options(loudness=-16.0)), -16.0)


@pytest.mark.parametrize(("level", "target"), [(4.0, -16.0), (15.0, -9.0), (32_768.0, -16.0)])
def test_very_loud_sound_becomes_as_quiet_as_asked(tmp_path, level, target):
    """Floats over full scale are not yet clipped: turned down, they are what was recorded."""
    source = tmp_path / "a.wav"
    make(source, chord(440, 440, seconds=1.5, level=level), arguments=["-c:a", "pcm_f32le"])

    encoded, judge = converted(source, Options(loudness=target))

    assert_reached(encoded, judge, target)
    assert codes(encoded) == []


def test_clipped_sound_becomes_as_quiet_as_asked(tmp_path):
    """Most of what is too loud was clipped when it was recorded, and its true peaks lie over full scale."""
    source = tmp_path / "a.wav"
    clipped = "anoisesrc=c=pink:r=48000:a=1:seed=3:d=3,volume=12dB,aformat=sample_fmts=s16:channel_layouts=stereo"
    ffmpeg("-f", "lavfi", "-i", clipped, "-c:a", "pcm_s16le", str(source))

    encoded, judge = converted(source, Options(loudness=-14.0))

    assert_reached(encoded, judge, -14.0)
    assert codes(encoded) == []


def test_sound_that_has_its_loudness_is_not_changed(tmp_path):
    """A person who asks for the loudness that is there already gets the sound as it is."""
    source = made(tmp_path, "dual mono")
    natural = converted(source, Options())[0].loudness.lufs
    assert natural is not None

    converted(source, Options(loudness=round(natural, 1)))

    assert frames_of(tmp_path / "a.mp3") == plain_mp3(source)


def test_a_sound_too_short_to_be_measured_is_not_called_silent(tmp_path):
    """The meter needs 0.4 s (EBU Tech 3341), and a shout of 0.3 s is still heard."""
    source = tmp_path / "a.wav"
    make(source, tone(440, 0.3), arguments=["-c:a", "pcm_s16le"])

    encoded, _ = converted(source, Options(loudness=-16.0))

    assert codes(encoded) == ["loudness-missed"]
    assert "silent" not in encoded.notes[0].detail
