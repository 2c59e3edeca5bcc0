"""More channels than two become stereo, and sound over full scale comes below it, the same way in every codec."""

import math
import wave
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from functions.convert.encoder import Encoded
from functions.shared.options import Channels, Options, Quality
from tests.attempts import attempt
from tests.contract.plain_ffmpeg import decibels, frames_of, plain_mp3
from tests.inputs.listening import PALETTE_HZ, Heard, amplitude, listen, rms
from tests.inputs.making import channels, chord, make, tone
from tests.media import ffmpeg

SECONDS = 1.0
LEVEL = 0.1
# Tones that no other channel's harmonics reach, in the order of the channels.
TONES_HZ = (*PALETTE_HZ, 2420, 2640, 2860)
NEAR_DB = 0.3
SILENT_DB = -40.0
BEST = Options(quality=Quality.CBR_320)

FULL, HALF = 0.0, -6.02
# Behind or above in the middle, a channel goes to both sides with half of its power.
HALF_TO_BOTH = -9.03

Levels = Sequence[tuple[float | None, float | None]]

LEFT, RIGHT, CENTRE = (FULL, None), (None, FULL), (FULL, FULL)
LFE = (None, None)
LEFT_BEHIND, RIGHT_BEHIND = (HALF, None), (None, HALF)
CENTRE_BEHIND = (HALF_TO_BOTH, HALF_TO_BOTH)
SURROUND: Levels = (LEFT, RIGHT, CENTRE, LFE, LEFT_BEHIND, RIGHT_BEHIND)

# How loud each channel comes out on the left and on the right, in dB; None is not at all.
LAYOUTS: Mapping[str, Levels] = {
    "2.1": (LEFT, RIGHT, LFE),
    "3.0": (LEFT, RIGHT, CENTRE),
    "quad": (LEFT, RIGHT, LEFT_BEHIND, RIGHT_BEHIND),
    "6.1": (LEFT, RIGHT, CENTRE, LFE, CENTRE_BEHIND, LEFT_BEHIND, RIGHT_BEHIND),
    "7.1": (*SURROUND, LEFT_BEHIND, RIGHT_BEHIND),
}

# name: (ending, layout, encoder's arguments)
CODECS: Mapping[str, tuple[str, str, Sequence[str]]] = {
    "AAC": ("mp4", "5.1", ["-c:a", "aac", "-b:a", "512k"]),
    "AC-3": ("mkv", "5.1", ["-c:a", "ac3", "-b:a", "640k"]),
    "AC-3 with a low centre": (
        "mkv",
        "5.1(side)",
        [
            *("-c:a", "ac3", "-b:a", "640k", "-center_mixlev", "0.5", "-surround_mixlev", "0", "-dmix_mode", "ltrt"),
            *("-ltrt_cmixlev", "0.5", "-ltrt_surmixlev", "0", "-loro_cmixlev", "0", "-loro_surmixlev", "0.5"),
        ],
    ),
    "E-AC-3": ("mp4", "5.1", ["-c:a", "eac3", "-b:a", "640k", "-center_mixlev", "0.595"]),
    "FLAC": ("mkv", "5.1", ["-c:a", "flac"]),
    "PCM of 16 bit": ("wav", "5.1(side)", ["-c:a", "pcm_s16le"]),
    "PCM of floats": ("mov", "5.1", ["-c:a", "pcm_f32le"]),
    "DTS": ("mkv", "5.1(side)", ["-strict", "-2", "-c:a", "dca", "-b:a", "1411k"]),
    "Opus": ("webm", "5.1", ["-c:a", "libopus", "-b:a", "512k"]),
}


def converted(source: Path, options: Options = BEST) -> tuple[Heard, Encoded]:
    mp3 = source.with_name("a.mp3")
    encoded = attempt(source, mp3, options)
    return listen(mp3), encoded


def levels_of(heard: Heard, count: int) -> Levels:
    """Return how loud the tone of each channel is on the left and on the right, in dB of what it was."""
    parts = [heard.part(side, 0.2, 0.9) for side in (heard.left, heard.right)]
    found = []
    for hz in TONES_HZ[:count]:
        left, right = (decibels(amplitude(part, hz, heard.rate_hz) / LEVEL) for part in parts)
        found.append((left if left > SILENT_DB else None, right if right > SILENT_DB else None))
    return found


def assert_levels(heard: Heard, expected: Levels) -> None:
    found = levels_of(heard, len(expected))
    for hz, sides, wanted in zip(TONES_HZ, found, expected, strict=False):
        for level, wanted_level in zip(sides, wanted, strict=True):
            assert (level is None) == (wanted_level is None), (hz, found)
            assert level is None or level == pytest.approx(wanted_level, abs=NEAR_DB), (hz, found)


def loudspeakers(layout: str, count: int) -> str:
    """Return a source with a tone of its own in each channel."""
    return chord(*TONES_HZ[:count], seconds=SECONDS, layout=layout, level=LEVEL)


@pytest.mark.parametrize("codec", CODECS)
def test_each_loudspeaker_of_5_1_is_as_loud_whatever_the_codec(tmp_path, codec):
    """The codec is chance, so it must not decide whether people are understood."""
    ending, layout, arguments = CODECS[codec]
    source = tmp_path / f"a.{ending}"
    make(source, loudspeakers(layout, 6), arguments=arguments)

    heard, encoded = converted(source)

    assert_levels(heard, SURROUND)
    assert encoded.choice.tracks[0].channels == 6
    assert encoded.facts.channels == 2
    assert encoded.notes == ()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_loudspeakers_of_other_layouts_have_the_same_levels(tmp_path, layout):
    """A film that is sold in 5.1 and in 7.1 has one mix."""
    expected = LAYOUTS[layout]
    source = tmp_path / "a.mkv"
    make(source, loudspeakers(layout, len(expected)), arguments=["-c:a", "flac"])

    assert_levels(converted(source)[0], expected)


def test_a_film_with_loudspeakers_at_the_ceiling_loses_none(tmp_path):
    """Those above are heard on their own side, and the front is heard better."""
    source = tmp_path / "a.wav"
    make(source, loudspeakers("7.1.4", 12), arguments=["-c:a", "pcm_s24le"])

    heard, _ = converted(source)

    assert_levels(heard, LAYOUTS["7.1"])
    for left, right in (levels_of(heard, 12)[number] for number in (8, 10)):
        assert left is not None
        assert -10 < left < -2.5
        assert right is None
    for left, right in (levels_of(heard, 12)[number] for number in (9, 11)):
        assert left is None
        assert right is not None
        assert -10 < right < -2.5


def test_sixteen_loudspeakers_keep_their_front(tmp_path):
    """Installations have more loudspeakers than a film."""
    source = tmp_path / "a.wav"
    wave16 = chord(*TONES_HZ[:8], *[None] * 8, seconds=SECONDS, layout="hexadecagonal", level=LEVEL)
    make(source, wave16, arguments=["-c:a", "pcm_s24le"])

    assert_levels(converted(source)[0], (LEFT, RIGHT, CENTRE))


@pytest.mark.parametrize("codec", ["flac", "ac3"])
def test_a_centre_alone_is_as_loud_on_both_sides_as_it_was(tmp_path, codec):
    """Half of all films is somebody who speaks in the centre."""
    source = tmp_path / "a.mkv"
    make(source, chord(None, None, 440, None, None, None, seconds=SECONDS, layout="5.1"), arguments=["-c:a", codec])

    heard, _ = converted(source)

    assert rms(heard.part(heard.left, 0.2, 0.9)) == pytest.approx(0.25 / math.sqrt(2), rel=0.03)
    assert rms(heard.part(heard.right, 0.2, 0.9)) == pytest.approx(0.25 / math.sqrt(2), rel=0.03)


@pytest.mark.parametrize(
    ("layout", "expected"),
    [
        pytest.param("FC+LFE", (CENTRE, LFE), id="1.1"),
        pytest.param("FL+FC", (LEFT, CENTRE), id="left and centre"),
        pytest.param("FC+BL+BR", (CENTRE, LEFT_BEHIND, RIGHT_BEHIND), id="no front pair"),
        pytest.param("BL+BR", (LEFT_BEHIND, RIGHT_BEHIND), id="surround stem"),
        pytest.param("FL+FR+LFE+BC", (LEFT, RIGHT, LFE, CENTRE_BEHIND), id="3.1 with its centre behind"),
    ],
)
def test_layouts_without_a_name_follow_the_same_rule(tmp_path, layout, expected):
    """Editors export stems with the channels that they have."""
    source = tmp_path / "a.wav"
    make(source, loudspeakers(layout, len(expected)), arguments=["-c:a", "pcm_s16le"])

    assert_levels(converted(source)[0], expected)


@pytest.mark.parametrize(("channel", "ending"), [("FL", "wav"), ("FR", "mov"), ("FC", "caf"), ("FL", "caf")])
def test_a_single_channel_keeps_its_level_whatever_it_is_called(tmp_path, channel, ending):
    """Recorders and editors name the channel of a mono track: left, right or centre."""
    source = tmp_path / f"a.{ending}"
    big_endian = ending == "caf"
    make(
        source,
        chord(440, seconds=SECONDS, layout=channel),
        arguments=["-c:a", "pcm_s16be" if big_endian else "pcm_s16le"],
    )

    heard, encoded = converted(source)

    assert encoded.facts.channels == 1
    assert amplitude(heard.part(heard.left, 0.2, 0.9), 440, heard.rate_hz) == pytest.approx(0.25, rel=0.03)


def many_channels(path: Path, count: int) -> None:
    """Write a WAV whose first channel has a tone, the second another, and the rest a third."""
    sounds = []
    for hz in TONES_HZ[:3]:
        one = path.with_name(f"{hz}.wav")
        make(one, tone(hz, SECONDS, level=LEVEL), arguments=["-c:a", "pcm_s16le"])
        with wave.open(str(one)) as source:
            parameters, samples = source.getparams(), source.readframes(source.getnframes())
        sounds.append([samples[at : at + 2] for at in range(0, len(samples), 2)])
    left, right, rest = sounds
    with wave.open(str(path), "wb") as target:
        target.setparams(parameters._replace(nchannels=count))
        target.writeframes(b"".join(a + b + c * (count - 2) for a, b, c in zip(left, right, rest, strict=True)))


@pytest.mark.parametrize("count", [10, 60])
def test_of_channels_without_names_the_first_pair_is_heard(tmp_path, count):
    """A mixing desk records its main pair first; that is better than nothing."""
    source = tmp_path / "a.wav"
    many_channels(source, count)

    heard, encoded = converted(source)

    found = levels_of(heard, 2)
    assert found[0][0] == pytest.approx(FULL, abs=NEAR_DB)
    assert found[1][1] == pytest.approx(FULL, abs=NEAR_DB)
    assert encoded.choice.tracks[0].channels == count


def test_sound_from_all_around_is_heard_from_the_side_where_it_is(tmp_path):
    """Cameras for virtual reality record ambisonics: here something on the left, and something that is everywhere."""
    source = tmp_path / "a.mkv"
    left = "0.1*sin(2*PI*440*t)"
    everywhere = "0.1*sin(2*PI*880*t)"
    sphere = channels(f"{left}+{everywhere}", left, "0", "0", seconds=SECONDS, layout="ambisonic 1")
    make(source, sphere, arguments=["-c:a", "libopus", "-mapping_family", "2", "-b:a", "512k"])

    heard, encoded = converted(source)

    assert encoded.choice.tracks[0].channels == 4
    [(left_db, right_db)] = levels_of(heard, 1)
    assert left_db == pytest.approx(FULL, abs=NEAR_DB)
    assert right_db is None
    sides = (heard.part(side, 0.2, 0.9) for side in (heard.left, heard.right))
    assert [amplitude(side, 880, heard.rate_hz) for side in sides] == pytest.approx([0.05, 0.05], rel=0.05)


# Over full scale


@pytest.mark.parametrize(("level", "count"), [(1.6, 1), (4.0, 2), (30.0, 2)])
def test_floats_over_full_scale_are_limited(tmp_path, level, count):
    """Editors calculate in floats, and players would clip what is over full scale."""
    source = tmp_path / "a.wav"
    make(source, chord(*[440] * count, seconds=SECONDS, level=level), arguments=["-c:a", "pcm_f32le"])

    heard, encoded = converted(source, Options())

    assert heard.peak <= 1.0
    assert heard.peak > 0.7
    assert [note.code for note in encoded.notes] == ["limited"]
    # A limiter makes it softer and leaves its form; clipping adds harmonics.
    middle = heard.part(heard.left, 0.3, 0.9)
    assert amplitude(middle, 3 * 440, heard.rate_hz) < 0.02 * amplitude(middle, 440, heard.rate_hz)


@pytest.mark.parametrize(
    ("sound", "options"),
    [
        pytest.param("1.5*sgn(sin(2*PI*440*t))", Options(), id="a square wave"),
        pytest.param("1.6*sin(2*PI*5000*t)", Options(), id="a whistle"),
        pytest.param("1.5+0.1*sin(2*PI*440*t)", Options(), id="an offset"),
        pytest.param("(0.1+gt(t\\,0.5))*1.6*sin(2*PI*5000*t)", Options(start=0.6), id="a part in the middle"),
        pytest.param("0.1*sin(2*PI*440*t)+eq(n\\,24000)*5", Options(), id="a single sample"),
    ],
)
def test_sound_over_full_scale_is_noticed_whatever_its_form(tmp_path, sound, options):
    """It may never come near zero, or last for a single sample."""
    source = tmp_path / "a.wav"
    make(source, channels(sound, sound, seconds=SECONDS), arguments=["-c:a", "pcm_f32le"])

    heard, encoded = converted(source, options)

    assert heard.peak <= 1.0
    assert [note.code for note in encoded.notes] == ["limited"]


def test_a_loud_scene_from_all_loudspeakers_is_limited(tmp_path):
    """Each channel is below full scale, and their sum is not."""
    source = tmp_path / "a.mkv"
    front, behind = ["0.85*sin(2*PI*440*t)"] * 3, ["0.6*sin(2*PI*440*t)"] * 2
    scene = channels(*front, "0.9*sin(2*PI*50*t)", *behind, seconds=SECONDS, layout="5.1")
    make(source, scene, arguments=["-c:a", "ac3", "-b:a", "640k"])

    heard, encoded = converted(source, Options())

    assert 0.7 < heard.peak <= 1.0
    assert [note.code for note in encoded.notes] == ["limited"]


def test_a_single_loud_moment_leaves_the_rest_as_it_is(tmp_path):
    """A limiter that turns down all of a film for one explosion would be a volume control."""
    source = tmp_path / "a.wav"
    moment = "0.25*sin(2*PI*440*t)*(1+7*between(t\\,0.5\\,0.6))"
    make(source, channels(moment, moment, seconds=2), arguments=["-c:a", "pcm_f32le"])

    heard, encoded = converted(source, Options())

    assert heard.peak <= 1.0
    assert [note.code for note in encoded.notes] == ["limited"]
    for start_s, end_s in ((0.1, 0.4), (1.0, 1.9)):
        assert amplitude(heard.part(heard.left, start_s, end_s), 440, 48_000) == pytest.approx(0.25, rel=0.01)


@pytest.mark.parametrize("arguments", [["-c:a", "pcm_s16le"], ["-c:a", "pcm_f32le"]], ids=["16 bit", "floats"])
def test_sound_just_below_full_scale_is_not_touched(tmp_path, arguments):
    """Mastered music reaches full scale everywhere, and nobody wants it changed."""
    source = tmp_path / "a.wav"
    make(source, chord(440, 660, seconds=SECONDS, level=0.9999), arguments=arguments)

    _, encoded = converted(source, Options())

    assert frames_of(tmp_path / "a.mp3") == plain_mp3(source)
    assert encoded.notes == ()


@pytest.mark.parametrize("codec", ["pcm_s16le", "flac"])
def test_sound_that_reaches_full_scale_and_no_more_is_not_touched(tmp_path, codec):
    """Most masters were clipped in the studio: their samples reach both ends of 16 bits, and the lower one is -1.0."""
    source = tmp_path / "a.mka"
    clipped = "anoisesrc=c=pink:r=48000:a=1:seed=3:d=1,volume=6dB,aformat=sample_fmts=s16,pan=stereo|c0=c0|c1=c0"
    ffmpeg("-f", "lavfi", "-i", clipped, "-c:a", codec, str(source))

    _, encoded = converted(source, Options())

    assert frames_of(tmp_path / "a.mp3") == plain_mp3(source)
    assert encoded.notes == ()


# As many channels as the person wants


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        pytest.param(440, 440, 0.25, id="the same"),
        pytest.param(440, None, 0.125, id="left only"),
        pytest.param(None, 440, 0.125, id="right only"),
    ],
)
def test_mono_of_stereo_is_no_louder_than_its_louder_side(tmp_path, left, right, expected):
    """A sum of both sides would clip."""
    source = tmp_path / "a.mkv"
    make(source, chord(left, right, seconds=SECONDS), arguments=["-c:a", "flac"])

    heard, encoded = converted(source, Options(channels=Channels.MONO))

    assert encoded.facts.channels == 1
    assert amplitude(heard.part(heard.left, 0.2, 0.9), 440, heard.rate_hz) == pytest.approx(expected, rel=0.02)


def test_mono_of_5_1_has_each_loudspeaker(tmp_path):
    """Of its stereo downmix it is the mean, like mono of any stereo."""
    source = tmp_path / "a.mkv"
    make(source, loudspeakers("5.1", 6), arguments=["-c:a", "flac"])

    heard, encoded = converted(source, Options(quality=Quality.CBR_320, channels=Channels.MONO))

    found = [left for left, _ in levels_of(heard, 6)]
    assert encoded.facts.channels == 1
    assert found[3] is None
    assert [*found[:3], *found[4:]] == pytest.approx([-6.02, -6.02, 0.0, -12.04, -12.04], abs=NEAR_DB)


def test_stereo_of_mono_is_the_same_on_both_sides(tmp_path):
    """Some car radios play mono on one side."""
    source = tmp_path / "a.wav"
    make(source, tone(440, SECONDS), arguments=["-c:a", "pcm_s16le"])

    heard, encoded = converted(source, Options(channels=Channels.STEREO))

    assert encoded.facts.channels == 2
    assert heard.left == heard.right
    assert amplitude(heard.part(heard.left, 0.2, 0.9), 440, heard.rate_hz) == pytest.approx(0.25, rel=0.02)


def test_sides_that_are_opposite_stay_in_stereo(tmp_path):
    """A balanced microphone in a stereo socket: a sum would be silence."""
    source = tmp_path / "a.mkv"
    opposite = channels("0.25*sin(2*PI*440*t)", "-0.25*sin(2*PI*440*t)", seconds=SECONDS)
    make(source, opposite, arguments=["-c:a", "flac"])

    heard, encoded = converted(source, Options())

    assert frames_of(tmp_path / "a.mp3") == plain_mp3(source)
    assert encoded.facts.channels == 2
    assert [rms(side) for side in (heard.left, heard.right)] == pytest.approx([0.177, 0.177], rel=0.03)


@pytest.mark.parametrize("rate_hz", [44_100, 22_050, 8_000])
def test_sound_that_fits_an_mp3_is_encoded_as_it_is(tmp_path, rate_hz):
    """What needs no downmix, no limiter and no other rate becomes what a plain ffmpeg makes of it, bit by bit."""
    source = tmp_path / "a.wav"
    noise = f"anoisesrc=r={rate_hz}:a=0.3:c=pink:seed=5:d=1,aformat=channel_layouts=stereo"
    ffmpeg("-f", "lavfi", "-i", noise, "-c:a", "pcm_s16le", str(source))

    attempt(source, tmp_path / "a.mp3")

    assert frames_of(tmp_path / "a.mp3") == plain_mp3(source)
