"""What a person can ask of a conversion, and what they get: parts, soundtracks, copies, covers, chapters and tags."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from mutagen.id3 import ID3

from functions.convert import encoder as encoder_module
from functions.convert.encoder import Encoded
from functions.convert.failures import CorruptMedia, InvalidOption, TruncatedMedia
from functions.shared.conversions import Method
from functions.shared.options import Channels, Chapters, Damaged, Options, Quality, Tracks
from tests.attempts import attempt
from tests.contract.plain_ffmpeg import frames_of, packets_of, plain_mp3, samples_of
from tests.inputs.listening import Heard, amplitude, listen
from tests.inputs.making import (
    MPEG2,
    MPEG4,
    channels,
    chord,
    cut_to,
    make,
    media_bytes,
    other,
    patched,
    pictures,
    steps,
    stereo,
    tone,
    zeros,
)
from tests.media import ffmpeg

ACCEPT = Options(damaged=Damaged.ACCEPT)
NOISE = "anoisesrc=r={rate}:a=0.3:c=pink:seed=5:d={seconds},pan=stereo|c0=c0|c1=0.5*c0"


def converted(source: Path, options: Options | None = None) -> tuple[Heard, Encoded]:
    mp3 = source.with_name("a.mp3")
    encoded = attempt(source, mp3, options)
    return listen(mp3), encoded


def codes(encoded: Encoded) -> list[str]:
    return [note.code for note in encoded.notes]


def noise(path: Path, *arguments: str, seconds: float = 2.0, rate: int = 48_000, has_pictures: bool = True) -> Path:
    """Make a file with noise, of which each moment differs from all others."""
    inputs = ["-f", "lavfi", "-i", pictures(seconds)] if has_pictures else []
    ffmpeg(*inputs, "-f", "lavfi", "-i", NOISE.format(rate=rate, seconds=seconds), *arguments, str(path))
    return path


def part_filters(start: float | None, end: float | None, rate: int) -> Sequence[str]:
    """Return the filters with which a plain ffmpeg cuts out a part, by counting samples."""
    first = f"start_sample={round((start or 0) * rate)}"
    last = f":end_sample={round(end * rate)}" if end is not None else ""
    return [f"atrim={first}{last}", "asetpts=N/SR/TB"]


# Parts


@pytest.mark.parametrize(
    ("name", "rate", "arguments"),
    [
        ("a.mp4", 48_000, [*MPEG4, "-c:a", "aac"]),
        ("a.mkv", 44_100, [*MPEG4, "-c:a", "flac"]),
        ("a.ts", 48_000, [*MPEG2, "-c:a", "mp2"]),
        ("a.avi", 44_100, [*MPEG4, "-c:a", "pcm_s16le"]),
        ("fragmented.mp4", 48_000, [*MPEG4, "-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov"]),
    ],
)
def test_a_part_begins_and_ends_at_the_sample_that_was_asked_for(tmp_path, name, rate, arguments):
    """People who cut a film and its sound apart want to put them together again."""
    source = noise(tmp_path / name, *arguments, rate=rate)

    _, encoded = converted(source, Options(start=0.333, end=1.23456))

    assert encoded.facts.samples == round(1.23456 * rate) - round(0.333 * rate)
    assert frames_of(tmp_path / "a.mp3") == plain_mp3(source, *part_filters(0.333, 1.23456, rate))
    assert encoded.method is Method.ENCODED
    assert encoded.notes == ()


@pytest.mark.parametrize(
    ("is_streamed", "start", "end", "samples"),
    [
        (True, None, 0.7, 33_600),
        (True, 1.1, None, 43_200),
        (True, 1.5, 99.0, 24_000),
        (True, 1.9995, 2.0, 24),
        (False, 0.5, 1.5, 48_000),
    ],
)
def test_a_part_is_the_same_from_a_pipe_and_from_a_file(tmp_path, monkeypatch, is_streamed, start, end, samples):
    """How the video is read is chance; an end beyond its end is its end."""
    source = noise(tmp_path / "a.mp4", *MPEG4, "-c:a", "aac")
    if not is_streamed:
        monkeypatch.setattr(encoder_module, "as_stream", lambda _: None)

    _, encoded = converted(source, Options(start=start, end=end))

    assert encoded.facts.samples == samples
    assert frames_of(tmp_path / "a.mp3") == plain_mp3(source, *part_filters(start, end, 48_000))
    assert encoded.notes == ()


@pytest.mark.parametrize(("rate", "options"), [(48_000, Options()), (44_100, Options(sample_rate=48_000))])
def test_a_click_in_a_part_is_where_it_was(tmp_path, rate, options):
    """Listened to without a plain ffmpeg as judge, also where the sample rate changes."""
    source = tmp_path / "a.wav"
    make(
        source, channels("0.8*between(t\\,0.99999\\,1.00001)", seconds=2, rate_hz=rate), arguments=["-c:a", "pcm_s16le"]
    )
    asked = Options(start=0.75, end=1.5, quality=Quality.CBR_320, sample_rate=options.sample_rate)

    heard, _ = converted(source, asked)

    loudest = max(range(len(heard.left)), key=lambda at: abs(heard.left[at]))
    assert len(heard.left) == round(0.75 * 48_000)
    assert loudest == round(0.25 * 48_000)


@pytest.mark.parametrize("ending", ["mp4", "ts"])
def test_a_start_behind_the_end_is_refused_with_its_name(tmp_path, ending):
    """The person can mend this, if they are told which option it is and how long the sound is."""
    source = noise(tmp_path / f"a.{ending}", *(MPEG4 if ending == "mp4" else MPEG2), "-c:a", "aac")

    with pytest.raises(InvalidOption) as refused:
        converted(source, Options(start=2.5, end=3.0))

    assert refused.value.name == "start"
    assert "2.0 s" in refused.value.failure.detail


def with_a_gap(path: Path) -> Path:
    """Make a film in steps, without sound between 1 and 2 s."""
    ffmpeg(
        *("-f", "lavfi", "-i", pictures(4), "-f", "lavfi", "-i", steps(4), *MPEG4, "-c:a", "aac"),
        *("-bsf:a", "noise=drop='between(pts*tb,1,2)'", str(path)),
    )
    return path


@pytest.mark.parametrize(
    ("start", "end", "tones", "is_told"),
    [
        pytest.param(1.5, 3.0, [set(), {880}, {880}], True, id="starts in it"),
        pytest.param(0.5, 1.5, [{440}, set()], True, id="ends in it"),
        pytest.param(2.5, 3.5, [{880}, {1100}], False, id="behind it"),
        pytest.param(0.0, 0.8, [{440}], False, id="before it"),
    ],
)
def test_a_part_of_a_film_with_a_gap_keeps_its_place(tmp_path, start, end, tones, is_told):
    """Silence takes the place of what is missing, in the part as in all; what lies outside concerns nobody."""
    source = with_a_gap(tmp_path / "a.mkv")

    heard, encoded = converted(source, Options(start=start, end=end))

    assert encoded.facts.samples == round((end - start) * 48_000)
    assert [heard.tones(heard.left, 0.25 + 0.5 * half) for half in range(len(tones))] == tones
    assert codes(encoded) == ["gaps-filled"] * is_told


@pytest.mark.parametrize(
    ("start", "end", "silent_s", "is_told"),
    [(0.5, 2.0, 0.5, True), (1.5, 2.5, 0.0, False), (None, 1.5, 1.0, True), (0.2, 0.8, 0.6, True)],
)
def test_a_part_of_a_film_whose_sound_starts_late_keeps_its_place(tmp_path, start, end, silent_s, is_told):
    """The part is one of the film, and not of the sound."""
    source = tmp_path / "a.mkv"
    make(source, pictures(3), tone(440, 2), arguments=[*MPEG4, "-c:a", "flac"], late_s=1)

    heard, encoded = converted(source, Options(start=start, end=end))

    seconds = end - (start or 0.0)
    assert encoded.facts.samples == round(seconds * 48_000)
    assert max(map(abs, heard.part(heard.left, 0, max(silent_s - 0.05, 0))), default=0.0) < 0.001
    behind = heard.part(heard.left, silent_s + 0.05, seconds)
    assert not behind or amplitude(behind, 440, 48_000) == pytest.approx(0.25, rel=0.05)
    assert codes(encoded) == ["sound-starts-late"] * is_told


def test_a_part_may_come_from_a_video_that_is_too_long_as_a_whole(tmp_path):
    """A minute of a stream of ten hours is one minute."""
    source = noise(tmp_path / "a.wav", has_pictures=False, seconds=4)

    with (tmp_path / "frames").open("w+b") as frames:
        encoder = encoder_module.FfmpegEncoder(max_duration_s=2)
        encoded = encoder.encode(_Stored(source), frames, Options(start=2.5, end=3.5), lambda _: None)

    assert encoded.facts.samples == 48_000


class _Stored:
    """A video in a file."""

    def __init__(self, path: Path) -> None:
        self._data = path.read_bytes()
        self.size = len(self._data)

    def read(self, start: int, end: int) -> bytes:
        return self._data[start:end]

    def parts(self):
        yield self._data


# Soundtracks


@pytest.fixture(scope="module")
def languages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film in English, German, and Portuguese with a commentary in it."""
    path = tmp_path_factory.mktemp("languages") / "a.mkv"
    tags = [("eng", "Main"), ("ger", "Deutsch"), ("por", "Comentário")]
    metadata = [
        part
        for number, (language, title) in enumerate(tags)
        for part in (f"-metadata:s:a:{number}", f"language={language}", f"-metadata:s:a:{number}", f"title={title}")
    ]
    flags = ["-disposition:a:0", "default", "-disposition:a:1", "0", "-disposition:a:2", "comment"]
    make(
        path,
        pictures(1),
        *(tone(hz, 1) for hz in (440, 880, 1320)),
        arguments=[*MPEG4, "-c:a", "flac", *metadata, *flags],
    )
    return path


@pytest.mark.parametrize(
    ("track", "number"),
    [("2", 2), ("de", 2), ("deu", 2), ("ger", 2), ("de-at", 2), ("3", 3), (None, 1)],
)
def test_a_soundtrack_is_taken_by_its_number_or_language(tmp_path, languages, track, number):
    """People write a language as they know it."""
    encoded = attempt(languages, tmp_path / "a.mp3", Options(track=track))

    heard = listen(tmp_path / "a.mp3")
    assert heard.all_tones(heard.left) == {440 * number}
    assert encoded.choice.number == number
    assert encoded.notes == ()


@pytest.mark.parametrize("track", ["9", "fr"])
def test_a_soundtrack_that_is_not_there_is_refused_with_those_that_are(tmp_path, languages, track):
    """Only the file tells what there is, so the person learns it from the error."""
    with pytest.raises(InvalidOption) as refused:
        attempt(languages, tmp_path / "a.mp3", Options(track=track))

    assert refused.value.name == "track"
    assert all(part in refused.value.failure.detail for part in ("1 (eng)", "2 (ger)", "3 (por)"))


def test_the_receipt_lists_the_soundtracks(tmp_path, languages):
    """So that the person sees what else they could have asked for."""
    tracks = attempt(languages, tmp_path / "a.mp3").tracks

    assert [(track.number, track.language, track.title) for track in tracks] == [
        (1, "eng", "Main"),
        (2, "ger", "Deutsch"),
        (3, "por", "Comentário"),
    ]
    assert [track.default for track in tracks] == [True, False, False]
    assert [track.role for track in tracks] == [None, None, "commentary"]
    assert {(track.codec, track.channels, track.sample_rate_hz, track.usable) for track in tracks} == {
        ("flac", 1, 48_000, True)
    }


def test_a_mix_is_the_sum_of_all_soundtracks(tmp_path):
    """Two microphones and the sound of a game, at different rates and layouts, are each as loud as they were."""
    source = tmp_path / "a.mkv"
    sounds = [
        tone(440, 2),
        stereo(2),
        tone(1320, 2, rate_hz=44_100),
        chord(None, None, 1760, *[None] * 3, seconds=2, layout="5.1"),
    ]
    make(source, pictures(2), *sounds, arguments=[*MPEG4, "-c:a", "flac"])

    heard, encoded = converted(source, Options(tracks=Tracks.MIX))

    left, right = (heard.part(side, 0.2, 1.8) for side in (heard.left, heard.right))
    loud = {hz: (amplitude(left, hz, 48_000), amplitude(right, hz, 48_000)) for hz in (440, 880, 1320, 1760)}
    assert loud[440] == pytest.approx((0.5, 0.25), rel=0.03)
    assert loud[880] == pytest.approx((0.0, 0.25), rel=0.03, abs=0.002)
    assert loud[1320] == pytest.approx((0.25, 0.25), rel=0.03)
    assert loud[1760] == pytest.approx((0.25, 0.25), rel=0.03)
    assert heard.seconds == pytest.approx(2.0, abs=0.001)
    assert encoded.choice.number is None
    assert encoded.notes == ()


def test_soundtracks_of_a_mix_stay_beside_each_other(tmp_path):
    """One microphone was switched on later, and another ends earlier."""
    source = tmp_path / "a.mkv"
    make(source, pictures(3), tone(440, 1), tone(880, 2), arguments=[*MPEG4, "-c:a", "flac"], late_s=1)

    heard, _ = converted(source, Options(tracks=Tracks.MIX))

    assert [heard.tones(heard.left, at_s) for at_s in (0.5, 1.5, 2.5)] == [{440}, {880}, {880}]
    assert heard.seconds == pytest.approx(3.0, abs=0.001)


def test_a_mix_that_would_clip_is_limited(tmp_path):
    """Both people are at the top of their meters, and laugh together."""
    source = tmp_path / "a.mkv"
    make(source, pictures(1), *(tone(440, 1, level=0.9) for _ in range(2)), arguments=[*MPEG4, "-c:a", "flac"])

    heard, encoded = converted(source, Options(tracks=Tracks.MIX))

    assert 0.7 < heard.peak <= 1.0
    assert codes(encoded) == ["limited"]


@pytest.mark.parametrize("empty", [0, 1])
def test_a_mix_leaves_out_what_has_no_sound(tmp_path, empty):
    """OBS adds a soundtrack for a microphone that was never there."""
    source = tmp_path / "a.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", pictures(1), "-f", "lavfi", "-i", tone(440, 1), "-f", "lavfi", "-i", tone(880, 1)),
        *("-map", "0", "-map", "1", "-map", "2", *MPEG4, "-c:a", "aac", f"-bsf:a:{empty}", "noise=drop=1", str(source)),
    )

    heard, _ = converted(source, Options(tracks=Tracks.MIX))

    assert heard.tones(heard.left, 0.5) == {(880, 440)[empty]}


@pytest.mark.parametrize("damaged_track", [0, 1])
def test_a_gap_in_any_soundtrack_of_a_mix_is_told(tmp_path, damaged_track):
    """The other one covers it up, and the person would not notice before they publish it."""
    source = tmp_path / "a.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", pictures(3), "-f", "lavfi", "-i", tone(440, 3), "-f", "lavfi", "-i", tone(880, 3)),
        *("-map", "0", "-map", "1", "-map", "2", *MPEG4, "-c:a", "aac"),
        *(f"-bsf:a:{damaged_track}", "noise=drop='between(pts*tb,1,2)'", str(source)),
    )

    heard, encoded = converted(source, Options(tracks=Tracks.MIX))

    lost = (440, 880)[damaged_track]
    assert [heard.tones(heard.left, at_s) for at_s in (0.5, 1.5, 2.5)] == [{440, 880}, {440, 880} - {lost}, {440, 880}]
    assert codes(encoded) == ["gaps-filled"]


def test_another_soundtrack_is_taken_only_if_the_first_is_silent_as_a_whole(tmp_path):
    """A silent moment of a film is no reason to give somebody its commentary."""
    source = tmp_path / "a.mkv"
    late = channels("0.25*sin(2*PI*440*t)*gt(t\\,2)", seconds=3)
    make(source, pictures(3), late, other(3), arguments=[*MPEG4, "-c:a", "flac"])

    _, encoded = converted(source, Options(start=0.5, end=1.5))

    assert encoded.choice.number == 1
    assert encoded.loudness.peak_db is None


# Form and quality


@pytest.mark.parametrize("rate", [48_000, 22_050, 8_000])
def test_the_sample_rate_is_the_one_that_was_asked_for(tmp_path, rate):
    """Voice mail systems take 8 kHz and nothing else."""
    source = tmp_path / "a.mkv"
    make(source, chord(440, 880, seconds=1), arguments=["-c:a", "flac"])

    heard, encoded = converted(source, Options(sample_rate=rate))

    assert encoded.facts.sample_rate_hz == heard.rate_hz == rate
    assert encoded.facts.samples == rate
    assert amplitude(heard.part(heard.left, 0.2, 0.9), 440, rate) == pytest.approx(0.25, rel=0.03)
    assert amplitude(heard.part(heard.right, 0.2, 0.9), 880, rate) == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize(("channels_", "count"), [(Channels.AUTO, 2), (Channels.MONO, 1), (Channels.STEREO, 2)])
def test_the_channels_are_those_that_were_asked_for(tmp_path, channels_, count):
    """A lecture in mono takes half of the room."""
    source = tmp_path / "a.mp4"
    make(source, pictures(1), stereo(1), arguments=[*MPEG4, "-c:a", "aac"])

    heard, encoded = converted(source, Options(channels=channels_))

    assert encoded.facts.channels == len(heard.samples) == count


@pytest.mark.parametrize(
    ("quality", "arguments"),
    [
        (Quality.AUTO, ["-q:a", "2"]),
        (Quality.V0, ["-q:a", "0"]),
        (Quality.V4, ["-q:a", "4"]),
        (Quality.CBR_128, ["-b:a", "128k"]),
        (Quality.CBR_320, ["-b:a", "320k"]),
    ],
)
def test_each_quality_is_what_lame_makes_of_it(tmp_path, quality, arguments):
    """Its frames are those that a plain ffmpeg makes, bit by bit."""
    source = noise(tmp_path / "a.wav", has_pictures=False, seconds=1, rate=44_100)

    _, encoded = converted(source, Options(quality=quality))

    assert frames_of(tmp_path / "a.mp3") == plain_mp3(source, arguments=arguments)
    assert encoded.notes == ()


def test_a_bit_rate_that_the_sample_rate_cannot_have_is_lowered_and_told(tmp_path):
    """MPEG-2.5 has 64 kbit/s at most."""
    source = noise(tmp_path / "a.wav", has_pictures=False, seconds=1)

    _, encoded = converted(source, Options(quality=Quality.CBR_320, sample_rate=8_000))

    assert encoded.facts.bit_rate_bps == pytest.approx(64_000, rel=0.02)
    assert codes(encoded) == ["bit-rate-lowered"]


# Copies

MP3 = ("-c:a", "libmp3lame", "-b:a", "160k")


@pytest.mark.parametrize(
    ("ending", "quality"),
    [
        ("mp3", Quality.AUTO),
        ("mp4", Quality.AUTO),
        ("mkv", Quality.AUTO),
        ("avi", Quality.AUTO),
        ("mp3", Quality.COPY),
        ("mkv", Quality.COPY),
    ],
)
def test_mp3_in_any_container_is_copied_bit_by_bit(tmp_path, ending, quality):
    """Encoding it again takes time and costs quality."""
    source = noise(tmp_path / f"b.{ending}", *MPEG4, *MP3, has_pictures=ending != "mp3")

    _, encoded = converted(source, Options(quality=quality, title="A title", cover="none"))

    assert encoded.method is Method.COPIED
    assert frames_of(tmp_path / "a.mp3") == packets_of(source)
    assert samples_of(tmp_path / "a.mp3") == samples_of(source)
    assert encoded.notes == ()


def test_a_copy_of_what_is_not_mp3_is_refused(tmp_path):
    """The person wants these bits or none, so that other ones would be no answer."""
    source = noise(tmp_path / "a.mp4", *MPEG4, "-c:a", "aac", seconds=1)

    with pytest.raises(InvalidOption) as refused:
        converted(source, Options(quality=Quality.COPY))

    assert refused.value.name == "quality"
    assert "quality=auto" in refused.value.failure.detail


@pytest.mark.parametrize(
    "options",
    [
        Options(quality=Quality.V2),
        Options(loudness=-20.0),
        Options(channels=Channels.MONO),
        Options(end=0.5),
    ],
    ids=["quality", "loudness", "channels", "end"],
)
def test_mp3_is_encoded_again_where_other_sound_was_asked_for(tmp_path, options):
    """A copy cannot be louder, shorter or in mono."""
    source = noise(tmp_path / "b.mp3", *MP3, has_pictures=False, seconds=1)

    _, encoded = converted(source, options)

    assert encoded.method is Method.ENCODED
    assert encoded.notes == ()


def test_mp3_with_a_gap_is_not_copied(tmp_path):
    """Frames say nothing of time, so what follows a gap would come too early."""
    source = tmp_path / "a.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", pictures(3), "-f", "lavfi", "-i", steps(3), *MPEG4, *MP3),
        *("-bsf:a", "noise=drop='between(pts*tb,1,2)'", str(source)),
    )

    heard, encoded = converted(source)

    assert encoded.method is Method.ENCODED
    assert [heard.tones(heard.left, at_s) for at_s in (0.5, 1.5, 2.5)] == [{440}, set(), {880}]
    assert codes(encoded) == ["gaps-filled"]
    with pytest.raises(InvalidOption):
        converted(source, Options(quality=Quality.COPY))


# Damage that the person accepts


def test_a_film_with_a_hole_is_converted_if_the_person_accepts_it(tmp_path):
    """What is left stays where it was, and the person learns how much is missing."""
    whole, source = tmp_path / "whole.mp4", tmp_path / "b.mp4"
    make(whole, steps(4), arguments=["-c:a", "aac"])

    def damage(data: bytearray) -> None:
        media = media_bytes(data)
        zeros(data, media.start + len(media) * 3 // 8, media.start + len(media) * 5 // 8)

    ffmpeg("-i", str(whole), "-c", "copy", "-movflags", "+faststart", str(tmp_path / "first.mp4"))
    patched(tmp_path / "first.mp4", source, damage)

    with pytest.raises(CorruptMedia) as refused:
        converted(source)
    heard, encoded = converted(source, ACCEPT)

    assert "damaged=accept" in refused.value.failure.detail
    assert codes(encoded) == ["damaged"]
    assert heard.seconds == pytest.approx(4.0, abs=0.03)
    assert [heard.tones(heard.left, at_s) for at_s in (0.5, 1.2, 2.0, 2.9, 3.5)] == [{440}, {660}, set(), {880}, {1100}]


@pytest.mark.parametrize("is_late", [False, True])
def test_a_film_that_is_cut_off_is_converted_if_the_person_accepts_it(tmp_path, is_late):
    """A download that broke off may be all that is left. A part that lies before the cut is whole."""
    whole, source = tmp_path / "whole.mp4", tmp_path / "b.mp4"
    make(whole, pictures(4), steps(4), arguments=[*MPEG4, "-c:a", "aac", "-movflags", "+faststart"])
    patched(whole, source, lambda data: cut_to(data, 0.7))
    start = 1.0 if is_late else None

    with pytest.raises(TruncatedMedia):
        converted(source)
    heard, encoded = converted(source, Options(damaged=Damaged.ACCEPT, start=start))

    assert {"cut-off", "damaged"} & {*codes(encoded)}
    assert 1.5 < heard.seconds + (start or 0) < 3.9
    assert heard.tones(heard.left, 0.5) == ({660} if is_late else {440})


def test_an_mp3_with_a_hole_is_converted_if_the_person_accepts_it(tmp_path):
    """A failing disk leaves zeros in it. Such a file has no clock, so that the rest moves together."""
    whole, source = tmp_path / "whole.mp3", tmp_path / "b.mp3"
    make(whole, steps(3), arguments=list(MP3))
    patched(whole, source, lambda data: zeros(data, len(data) * 4 // 10, len(data) * 65 // 100))

    with pytest.raises(CorruptMedia):
        converted(source)
    heard, encoded = converted(source, ACCEPT)

    assert codes(encoded) == ["damaged"]
    assert encoded.method is Method.ENCODED
    assert 2.0 < heard.seconds < 3.1
    assert heard.tones(heard.left, 0.5) == {440}
    assert heard.tones(heard.left, heard.seconds - 0.5) == {880}


def test_an_mp3_with_something_else_between_its_frames_loses_none_of_them(tmp_path):
    """Tags of other programs lie there, and parts of other files."""
    whole, source = tmp_path / "whole.mp3", tmp_path / "b.mp3"
    make(whole, steps(3), arguments=list(MP3))
    patched(whole, source, lambda data: bytes(data[:30_000]) + bytes(10_000) + bytes(data[30_000:]))

    heard, encoded = converted(source)

    assert codes(encoded) == ["damaged"]
    assert heard.seconds == pytest.approx(3.0, abs=0.1)
    assert [heard.tones(heard.left, at_s) for at_s in (0.5, 2.5)] == [{440}, {880}]


# Cover, chapters and tags


def _red_then_blue(path: Path, *arguments: str) -> Path:
    colours = "color=red:s=160x90:r=10:d=1[r];color=blue:s=160x90:r=10:d=1[b];[r][b]concat[v]"
    ffmpeg(
        "-filter_complex", colours, "-f", "lavfi", "-i", tone(440, 2), "-map", "[v]", "-map", "0", *arguments, str(path)
    )
    return path


def picture_of(path: Path) -> tuple[int, int, tuple[int, int, int]]:
    """Return the size of the cover of an MP3, and the colour of its middle."""
    [cover] = ID3(path).getall("APIC")
    assert cover.mime == "image/jpeg"
    assert cover.data.startswith(b"\xff\xd8\xff")
    jpeg, ppm = path.with_suffix(".jpg"), path.with_suffix(".ppm")
    jpeg.write_bytes(cover.data)
    ffmpeg("-i", str(jpeg), "-pix_fmt", "rgb24", str(ppm))
    _, size, _, pixels = ppm.read_bytes().split(b"\n", 3)
    width, height = map(int, size.split())
    middle = (height // 2 * width + width // 2) * 3
    red, green, blue = pixels[middle : middle + 3]
    return width, height, (red, green, blue)


@pytest.mark.parametrize(
    ("ending", "codecs", "cover", "colour"),
    [("mp4", [*MPEG4, "-c:a", "aac"], "1.5", "blue"), ("ts", [*MPEG2, "-c:a", "mp2"], "0.5", "red")],
)
def test_a_frame_of_the_video_becomes_the_cover(tmp_path, ending, codecs, cover, colour):
    """Few videos have a picture attached."""
    source = _red_then_blue(tmp_path / f"a.{ending}", *codecs)

    _, encoded = converted(source, Options(cover=cover))

    width, height, (red, green, blue) = picture_of(tmp_path / "a.mp3")
    assert width == height
    assert green < 60
    assert (red > 200, blue > 200) == (colour == "red", colour == "blue")
    assert encoded.has_cover
    assert encoded.notes == ()


def test_the_time_of_a_cover_is_that_of_the_video_also_in_a_part(tmp_path):
    """The person reads it from their player."""
    source = _red_then_blue(tmp_path / "a.mkv", *MPEG4, "-c:a", "flac")

    converted(source, Options(cover="0.5", start=1.0, end=1.5))

    assert picture_of(tmp_path / "a.mp3")[2][0] > 200


def test_a_cover_from_behind_the_end_is_left_out_and_told(tmp_path):
    """The sound is worth more than the cover."""
    source = _red_then_blue(tmp_path / "a.mp4", *MPEG4, "-c:a", "aac")

    heard, encoded = converted(source, Options(cover="3600"))

    assert not heard.tag.getall("APIC")
    assert not encoded.has_cover
    assert codes(encoded) == ["no-cover"]


@pytest.mark.parametrize(("cover", "count"), [("auto", 1), ("none", 0)])
def test_an_attached_picture_is_the_cover_unless_the_person_wants_none(tmp_path, cover, count):
    """Some players show each cover on a whole screen."""
    picture, source = tmp_path / "p.png", tmp_path / "a.m4a"
    ffmpeg("-f", "lavfi", "-i", "color=red:s=200x200:d=1", "-frames:v", "1", str(picture))
    ffmpeg(
        *("-f", "lavfi", "-i", tone(440, 1), "-i", str(picture), "-map", "0", "-map", "1", "-c:a", "aac"),
        *("-c:v", "copy", "-disposition:v", "attached_pic", str(source)),
    )

    heard, encoded = converted(source, Options(cover=cover))

    assert len(heard.tag.getall("APIC")) == count
    assert encoded.has_cover == bool(count)
    assert encoded.notes == ()


@pytest.fixture(scope="module")
def lecture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording of 3 s with a chapter for each second, and tags."""
    folder = tmp_path_factory.mktemp("lecture")
    chapters = (
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={at}000\nEND={at + 1}000\ntitle=Chapter {at + 1}\n" for at in range(3)
    )
    tags = {
        "title": "Old title",
        "artist": "Old artist",
        "album": "Old album",
        "album_artist": "Old band",
        "genre": "Jazz",
        "date": "1999",
        "track": "7/9",
        "comment": "Old comment",
        "composer": "Bach",
    }
    lines = "".join(f"{name}={text}\n" for name, text in tags.items())
    (folder / "tags.txt").write_text(f";FFMETADATA1\n{lines}{''.join(chapters)}", encoding="utf-8")
    path = folder / "a.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", pictures(3), "-f", "lavfi", "-i", tone(440, 3), "-i", str(folder / "tags.txt")),
        *("-map", "0", "-map", "1", "-map_metadata", "2", "-map_chapters", "2", *MPEG4, "-c:a", "aac", str(path)),
    )
    return path


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Options(), [(0, 1000, "Chapter 1"), (1000, 2000, "Chapter 2"), (2000, 3000, "Chapter 3")]),
        (Options(chapters=Chapters.NONE), []),
        (Options(start=0.5, end=1.75), [(0, 500, "Chapter 1"), (500, 1250, "Chapter 2")]),
        (Options(start=2.25), [(0, 750, "Chapter 3")]),
        (Options(end=1.0), [(0, 1000, "Chapter 1")]),
    ],
    ids=["all", "none", "a part", "from the middle of one", "up to the end of one"],
)
def test_chapters_are_those_of_the_part(tmp_path, lecture, options, expected):
    """They name what is heard, and at the time at which it is heard."""
    encoded = attempt(lecture, tmp_path / "a.mp3", options)

    tag = ID3(tmp_path / "a.mp3")
    chapters = [(each.start_time, each.end_time, str(each.sub_frames["TIT2"])) for each in tag.getall("CHAP")]
    assert sorted(chapters) == expected
    assert encoded.chapters == len(expected)
    assert [len(each.child_element_ids) for each in tag.getall("CTOC")] == ([len(expected)] if expected else [])


def tag_of(mp3: Path) -> dict[str, str]:
    tag = ID3(mp3, translate=False)
    return {name: str(tag.getall(name)[0]) for name in _FRAMES if tag.getall(name)}


_FRAMES = ("TIT2", "TPE1", "TALB", "TPE2", "TCON", "TYER", "TDAT", "TRCK", "COMM", "TCOM")


def test_tags_that_a_person_gives_take_the_place_of_the_containers(tmp_path, lecture):
    """They know better than the camera. What they do not name stays."""
    given = Options(
        title="Übung 1",
        artist="Zoë",
        album="東京",
        album_artist="The band",
        genre="Podcast",
        year="2024-05-06",
        track_number="3/12",
        comment="Room 5; bring \\ a pen = yes",
    )

    attempt(lecture, tmp_path / "a.mp3", given)

    assert tag_of(tmp_path / "a.mp3") == {
        "TIT2": "Übung 1",
        "TPE1": "Zoë",
        "TALB": "東京",
        "TPE2": "The band",
        "TCON": "Podcast",
        "TYER": "2024",
        "TDAT": "0605",
        "TRCK": "3/12",
        "COMM": "Room 5; bring \\ a pen = yes",
        "TCOM": "Bach",
    }


def test_a_year_without_a_day_takes_the_place_of_a_whole_date(tmp_path, lecture):
    """A day of another year would be wrong."""
    source = tmp_path / "b.mp4"
    ffmpeg("-i", str(lecture), "-c", "copy", "-metadata", "date=1999-08-07", str(source))

    attempt(source, tmp_path / "a.mp3", Options(year="2024", track_number="3"))

    found = tag_of(tmp_path / "a.mp3")
    assert (found["TYER"], found.get("TDAT"), found["TRCK"]) == ("2024", None, "3")
    assert found["TIT2"] == "Old title"


def test_the_receipt_says_what_the_mp3_has(tmp_path, lecture):
    """The service stores it and shows it."""
    encoded = attempt(lecture, tmp_path / "a.mp3", Options(cover="0.5"))

    assert encoded.choice.number == 1
    assert encoded.chapters == 3
    assert encoded.has_cover
    assert encoded.method is Method.ENCODED
    assert encoded.video_duration_s == pytest.approx(3.0, abs=0.1)
    assert encoded.facts.duration_s == pytest.approx(3.0, abs=0.03)
    assert encoded.loudness.lufs is not None
    assert encoded.loudness.peak_db is not None
