"""MP3 soundtracks copied bit by bit, with ffmpeg and mutagen as judges."""

import io
import struct
import subprocess
from array import array
from pathlib import Path
from typing import Any, NamedTuple

import imageio_ffmpeg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutagen.mp3 import MP3

from functions.convert.mp3 import frame_copy
from functions.convert.mp3.frame_copy import NotCopyable, copy_frames, find_gapless
from functions.convert.mp3.frames import BrokenMp3, read_mp3, walk
from functions.convert.mp3.info import Gapless, set_padding
from tests.media import ffmpeg

# What libmp3lame and a decoder together put before the sound, which ffmpeg writes into the containers that have room.
ENCODER_SKIP = 576 + 529

# name: (sample rate in Hz, channels, encoder's arguments)
SOUNDS = {
    "vbr joint stereo": (44_100, 2, ["-q:a", "2"]),
    "cbr joint stereo": (44_100, 2, ["-b:a", "128k"]),
    "cbr left and right": (44_100, 2, ["-b:a", "192k", "-joint_stereo", "0"]),
    "cbr without reservoir": (44_100, 2, ["-b:a", "128k", "-reservoir", "0"]),
    "abr 48 kHz": (48_000, 2, ["-b:a", "160k", "-abr", "1"]),
    "cbr with small frames": (48_000, 1, ["-b:a", "32k"]),
    "vbr mono 22.05 kHz": (22_050, 1, ["-q:a", "4"]),
    "cbr mono 8 kHz": (8_000, 1, ["-b:a", "8k"]),
}


class Source(NamedTuple):
    """A file, and the packets of its soundtrack."""

    path: Path
    packets: bytes

    def find_gapless(self) -> Gapless | None:
        content = self.path.read_bytes()
        return find_gapless(lambda position, length: content[position : position + length], len(content))


def encoded(path: Path, sound: str, *arguments: str, seconds: float = 2.5) -> Source:
    """Return noise with a tone as MP3, in the container that the name ends in."""
    rate, channels, encoder = SOUNDS[sound]
    layout = "stereo" if channels == 2 else "mono"
    noise = f"anoisesrc=r={rate}:a=0.2:seed=7:d={seconds},aformat=channel_layouts={layout},tremolo=f=3:d=0.9"
    ffmpeg("-f", "lavfi", "-i", noise, "-c:a", "libmp3lame", *encoder, *arguments, str(path))
    return source_of(path)


def source_of(path: Path) -> Source:
    packets = path.with_suffix(".packets")
    ffmpeg("-i", str(path), "-map", "0:a:0", "-c", "copy", "-f", "data", str(packets))
    return Source(path, packets.read_bytes())


def copied(source: Source, gapless: Gapless | None) -> Path:
    """Return the path of the copy, of which all is proved that needs no decoder."""
    path = source.path.with_suffix(".copy.mp3")
    with path.open("w+b") as target:
        facts = copy_frames(io.BytesIO(source.packets), target, gapless)
        assert read_mp3(target) == facts
    assert path.read_bytes().endswith(source.packets)
    assert facts.samples == len(decoded(path)) / 4 / facts.channels
    return path


def decoded(path: Path, *input_arguments: str) -> bytes:
    """Return the samples as ffmpeg decodes them, 32-bit floats."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *input_arguments, "-i", str(path), "-map", "0:a:0"]
    return subprocess.run([*command, "-f", "f32le", "-"], capture_output=True, timeout=60, check=True).stdout


@pytest.mark.parametrize("sound", SOUNDS)
def test_a_copied_mp3_decodes_to_the_same_samples(tmp_path, sound):
    """Albums play without gaps only as long as the delay and the padding of the encoder stay with the frames."""
    source = encoded(tmp_path / "a.mp3", sound)
    gapless = source.find_gapless()
    assert gapless

    copy = copied(source, gapless)

    assert decoded(copy) == decoded(source.path)
    rate, channels, _ = SOUNDS[sound]
    assert len(decoded(copy)) == 2.5 * rate * channels * 4


@pytest.mark.parametrize("sound", SOUNDS)
def test_a_copied_soundtrack_of_an_avi_decodes_to_the_same_samples(tmp_path, sound):
    """An AVI says nothing about delay and padding, so players play every sample of it; so it is with the copy."""
    source = encoded(tmp_path / "a.avi", sound)
    assert source.find_gapless() is None

    assert decoded(copied(source, None)) == decoded(source.path)


@pytest.mark.parametrize("ending", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("sound", ["vbr joint stereo", "abr 48 kHz", "cbr with small frames", "vbr mono 22.05 kHz"])
def test_what_a_container_says_to_skip_is_skipped_in_the_copy(tmp_path, ending, sound):
    """An edit list or a CodecDelay is the same fact as LAME's delay, in other words."""
    arguments = ["-strict", "unofficial"] if ending in {"mp4", "mov"} else []
    source = encoded(tmp_path / f"a.{ending}", sound, *arguments)
    heard = decoded(source.path)
    everything = read_copy(source.packets, None)
    at_end = everything.samples - ENCODER_SKIP - len(heard) // 4 // everything.channels

    copy = copied(source, Gapless.skipping(ENCODER_SKIP, at_end))

    assert decoded(copy) == heard


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
def test_without_facts_every_sample_of_the_soundtrack_is_kept(tmp_path, ending):
    """What nobody says to skip might be sound."""
    source = encoded(tmp_path / f"a.{ending}", "cbr joint stereo")
    heard = decoded(source.path)

    everything = decoded(copied(source, None))

    assert everything[ENCODER_SKIP * 8 :].startswith(heard)


@pytest.mark.parametrize(("at_start", "at_end"), [(0, 0), (528, 0), (529 + 4096, 0), (529, 4096 - 529), (1105, -1)])
def test_skips_that_the_tag_has_no_room_for_are_refused(at_start, at_end):
    """A field that overflows would skip something else."""
    assert Gapless.skipping(at_start, at_end) is None


@pytest.mark.parametrize("sound", SOUNDS)
def test_mutagen_reads_the_length_and_the_mode_of_a_copy(tmp_path, sound):
    """Players without a decoder at hand read the length from the Info frame alone."""
    source = encoded(tmp_path / "a.mp3", sound)
    facts = read_copy(source.packets, source.find_gapless())

    judge: Any = MP3(copied(source, source.find_gapless())).info

    whole = facts.frames * (1152 if facts.sample_rate_hz >= 32_000 else 576) / facts.sample_rate_hz
    assert judge.length == pytest.approx(whole, abs=1e-6)
    assert judge.bitrate == pytest.approx(facts.bit_rate_bps, rel=0.02)
    assert "CBR" in str(judge.bitrate_mode) if sound.startswith("cbr") else "VBR" in str(judge.bitrate_mode)


@pytest.mark.parametrize("times", [1, 30, 800])
def test_the_contents_lead_to_the_hundredths_of_the_time(tmp_path, times):
    """Players seek in a VBR file by this table, in short files and in those of which not every frame is remembered."""
    packets = encoded(tmp_path / "a.mp3", "vbr joint stereo").packets * times
    target = io.BytesIO()
    copy_frames(io.BytesIO(packets), target, None)
    places = [position for position, _ in walk(target)]
    size = len(target.getvalue())
    start = target.getvalue().index(b"Xing") + 16

    contents = target.getvalue()[start : start + 100]

    right = [places[1 + hundredth * (len(places) - 1) // 100] * 256 / size for hundredth in range(100)]
    assert list(contents) == sorted(contents)
    assert all(abs(entry - place) < 1.5 for entry, place in zip(contents, right, strict=True))


def test_the_checksums_are_those_that_ffmpeg_writes(tmp_path):
    """The sum over the music is ffmpeg's own; the sum over the frame covers what comes before it."""
    source = encoded(tmp_path / "a.mp3", "vbr joint stereo")
    theirs, ours = source.path.read_bytes(), copied(source, source.find_gapless()).read_bytes()

    # The word Xing is followed by 116 bytes, LAME's part by its 32nd byte has the sum over the music.
    their_part, our_part = (content[content.index(b"Xing") + 120 :][:36] for content in (theirs, ours))

    assert our_part[:34] == their_part[:34]
    assert crc16(ours[: ours.index(b"Xing") + 154]) == int.from_bytes(our_part[34:], "big")


def test_a_source_that_was_cut_loses_its_padding_alone(tmp_path):
    """The padding of the tag is at an end that is gone; skipping it would take away sound."""
    whole = encoded(tmp_path / "a.mp3", "cbr joint stereo").path.read_bytes()
    path = tmp_path / "cut.mp3"
    frames = [position for position, _ in walk(io.BytesIO(whole[whole.index(b"Info") - 36 :]))]
    path.write_bytes(whole[: whole.index(b"Info") - 36 + frames[50]])
    source = source_of(path)

    assert decoded(copied(source, source.find_gapless())) == decoded(path)


def test_a_stream_that_begins_in_the_middle_is_copied_from_its_first_frame(tmp_path):
    """Its first frames refer to bytes that are gone. Players mute them; without them the sound would start early."""
    whole = encoded(tmp_path / "a.mp3", "cbr joint stereo").packets
    places = [position for position, _ in walk(io.BytesIO(whole))]
    (tmp_path / "middle.mp3").write_bytes(whole[places[20] :])
    ffmpeg("-i", str(tmp_path / "middle.mp3"), "-c", "copy", str(tmp_path / "middle.avi"))
    source = source_of(tmp_path / "middle.avi")
    path = tmp_path / "copy.mp3"

    with path.open("w+b") as target:
        copy_frames(io.BytesIO(source.packets), target, None)

    assert path.read_bytes().endswith(whole[places[20] :])
    assert decoded(path) == decoded(source.path)


def test_an_info_frame_within_the_soundtrack_stays_where_it_is(tmp_path):
    """Some programs put an MP3 into an AVI with its Info frame, which decodes to silence beside the picture."""
    inner = copied(encoded(tmp_path / "a.mp3", "vbr joint stereo"), None)
    path = tmp_path / "outer.mp3"

    with path.open("w+b") as target:
        facts = copy_frames(io.BytesIO(inner.read_bytes()), target, None)

    everything = decoded(path)
    assert facts.samples == len(everything) / 8
    assert everything == bytes(1152 * 8) + decoded(inner)


@pytest.mark.parametrize("tail", ["id3v1", "ape", "both"])
def test_tags_at_the_end_are_left_out(tmp_path, tail):
    """They are not sound, and the copy gets tags of its own."""
    source = encoded(tmp_path / "a.mp3", "cbr joint stereo")
    item = struct.pack("<II", 5, 0) + b"Title\0Hello"
    flags = 0x8000_0000
    ape = [b"APETAGEX" + struct.pack("<IIII8x", 2000, len(item) + 32, 1, flags | part) for part in (0x2000_0000, 0)]
    id3v1 = b"TAG" + bytes(125)
    tails = {"id3v1": id3v1, "ape": ape[0] + item + ape[1], "both": ape[0] + item + ape[1] + id3v1}
    target = io.BytesIO()

    copy_frames(io.BytesIO(source.packets + tails[tail]), target, None)

    assert target.getvalue().endswith(source.packets)


def test_what_no_mp3_can_hold_is_not_copied(tmp_path):
    """Each of these would stutter, change pitch or fall silent in some player."""
    stereo = encoded(tmp_path / "stereo.mp3", "cbr joint stereo").packets
    mono = encoded(tmp_path / "mono.mp3", "vbr mono 22.05 kHz").packets
    other_rate = encoded(tmp_path / "48.mp3", "abr 48 kHz").packets
    ffmpeg("-f", "lavfi", "-i", "sine=duration=1", "-c:a", "mp2", str(tmp_path / "layer2.mp2"))
    free_format = stereo[:2] + bytes([stereo[2] & 0x0F]) + stereo[3:]
    refused = {
        "nothing": b"",
        "zeros": bytes(1000),
        "junk at the start": b"junk" + stereo,
        "junk between frames": stereo + b"junk" + stereo,
        "junk at the end": stereo + bytes(300),
        "cut off": stereo[:-1],
        "cut off before a tag": stereo[:-1] + b"TAG" + bytes(125),
        "another sample rate": stereo + other_rate,
        "another number of channels": stereo + mono,
        "layer II": (tmp_path / "layer2.mp2").read_bytes(),
        "free format": free_format,
    }
    target = io.BytesIO()

    for content in refused.values():
        with pytest.raises(NotCopyable):
            copy_frames(io.BytesIO(content), target, None)

    assert target.getvalue() == b""


def test_a_copy_whose_size_no_info_frame_can_tell_is_refused(packets, monkeypatch):
    """The field has 32 bits; a size that is cut to them makes players seek to wrong places."""
    monkeypatch.setattr(frame_copy, "_LARGEST_BYTES", len(packets))

    with pytest.raises(NotCopyable, match="4 GiB"):
        read_copy(packets, None)


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi"])
def test_no_gapless_facts_are_found_in_containers(tmp_path, ending):
    """The frame of an MP3 file that says them is not taken along into a container."""
    assert encoded(tmp_path / f"a.{ending}", "vbr joint stereo").find_gapless() is None


def test_gapless_facts_are_found_behind_tags(tmp_path):
    """Covers of megabytes stand before the first frame, and some files have two tags."""
    source = encoded(tmp_path / "a.mp3", "vbr joint stereo", "-id3v2_version", "0")
    plain = source.find_gapless()
    assert plain
    tag = b"ID3\x03\x00\x00\x00\x7d\x00\x00" + bytes(125 << 14)
    with_footer = b"ID3\x04\x00\x10\x00\x00\x00\x7f" + b"\xff" * 127 + b"3DI\x04\x00\x10\x00\x00\x00\x7f"
    source.path.write_bytes(with_footer + tag + source.path.read_bytes())

    assert source.find_gapless() == plain
    assert (plain.delay, plain.details[:4]) == (576, b"Lavc")


@pytest.mark.parametrize("rate", [44_100, 48_000, 22_050, 8_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("quality", [["-q:a", "2"], ["-b:a", "64k"]])
def test_gapless_encodings_have_the_samples_of_the_source(tmp_path, rate, channels, quality):
    """Delay and padding that are wrong by one put a click between the tracks of a concert."""
    layout = "stereo" if channels == 2 else "mono"
    path = tmp_path / "a.mp3"
    # Whole frames, a few samples more or less, and lengths for which ffmpeg cannot write all the padding.
    for samples, click in [
        (1_000, 400),
        (1_151, 0),
        (1_152, 1_151),
        (1_153, 900),
        (1_198, 7),
        (1_199, 7),
        (12_345, 999),
    ]:
        pulse = f"aevalsrc=exprs=0.8*eq(n\\,{click}):s={rate},atrim=end_sample={samples}"
        sound = f"{pulse},aformat=channel_layouts={layout}"
        ffmpeg("-f", "lavfi", "-i", sound, "-c:a", "libmp3lame", *quality, "-id3v2_version", "0", str(path))
        with path.open("r+b") as mp3:
            before = read_mp3(mp3)
            set_padding(mp3, samples)
            after = read_mp3(mp3)

        heard = array("f", decoded(path))[::channels]

        assert len(heard) == after.samples == samples
        assert max(range(samples), key=lambda index: abs(heard[index])) == click
        assert 0 <= before.samples - samples <= 46
        assert (before.samples == samples) or samples % (1152 if rate >= 32_000 else 576) <= 46


def test_the_sum_over_the_frame_is_right_after_the_padding_is(tmp_path):
    """A player that checks it takes a frame with a wrong one for sound."""
    path = tmp_path / "a.mp3"
    noise = "anoisesrc=r=44100,atrim=end_sample=1153"
    ffmpeg("-f", "lavfi", "-i", noise, "-c:a", "libmp3lame", "-b:a", "128k", "-id3v2_version", "0", str(path))

    with path.open("r+b") as mp3:
        set_padding(mp3, 1153)

    content = path.read_bytes()
    end = content.index(b"Info") + 154
    assert crc16(content[:end]) == int.from_bytes(content[end : end + 2], "big")


@pytest.mark.parametrize("samples", [-1, 0, 100_000])
def test_a_padding_that_cannot_be_is_refused(tmp_path, samples):
    """Frames without the sound, or sound without the frames, are no matter of padding."""
    path = encoded(tmp_path / "a.mp3", "vbr joint stereo", "-id3v2_version", "0", seconds=1).path
    before = path.read_bytes()

    with path.open("r+b") as mp3, pytest.raises(BrokenMp3):
        set_padding(mp3, samples)

    assert path.read_bytes() == before


@pytest.fixture(scope="module")
def packets(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return encoded(tmp_path_factory.mktemp("packets") / "a.mp3", "vbr joint stereo", seconds=0.5).packets


gapless_facts = st.none() | st.builds(Gapless, st.integers(0, 4095), st.integers(0, 4095))


@given(st.binary(max_size=3000), gapless_facts)
def test_random_bytes_are_not_copied(content, gapless):
    """Whatever a container calls MP3, the answer is the error that the caller knows."""
    with pytest.raises(NotCopyable):
        copy_frames(io.BytesIO(content), io.BytesIO(), gapless)


@given(st.data())
def test_whatever_is_copied_passes_the_proof(packets, data):
    """A copy that the proof then refuses would be an error without a cause that the person can mend."""
    damaged = bytearray(packets)
    for _ in range(data.draw(st.integers(0, 3))):
        damaged[data.draw(st.integers(0, len(packets) - 1))] = data.draw(st.integers(0, 255))
    content = bytes(damaged[: data.draw(st.integers(0, len(packets)))]) + data.draw(st.binary(max_size=200))
    target = io.BytesIO()

    try:
        facts = copy_frames(io.BytesIO(content), target, data.draw(gapless_facts))
    except NotCopyable:
        return

    assert read_mp3(target) == facts


@given(st.binary(max_size=500), st.sampled_from([b"", b"ID3\x03\x00\x00\x00\x00\x00\x05", b"Info", b"LAME"]))
def test_random_bytes_have_no_gapless_facts_or_valid_ones(content, start):
    """An uploader controls all of it."""
    data = start + content

    found = find_gapless(lambda position, length: data[position : position + length], len(data))

    assert found is None or (0 <= found.delay <= 4095 and 0 <= found.padding <= 4095)


def read_copy(packets: bytes, gapless: Gapless | None) -> Any:
    return copy_frames(io.BytesIO(packets), io.BytesIO(), gapless)


def crc16(data: bytes) -> int:
    """Return CRC-16/ARC, bit by bit, as https://reveng.sourceforge.io/crc-catalogue/16.htm gives it."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xA001 if crc & 1 else 0)
    return crc
