"""Headers that say a wrong length, or none."""

from pathlib import Path

from tests.inputs.expected import Expected, mono, stereo, tones
from tests.inputs.making import (
    EXACT,
    MPEG4,
    VP8,
    beside,
    box,
    get,
    make,
    ogg_pages,
    ogg_sign,
    patched,
    pictures,
    put,
    steps,
    tone,
)
from tests.inputs.making import stereo as sound
from tests.inputs.recipe import also_gives, gives

_AAC = (*MPEG4, "-c:a", "aac")
_PCM = ("-c:a", "pcm_s16le", *EXACT, "-f", "wav")
_RIFF_SIZE = 4


def _wave(path: Path, seconds: float) -> Path:
    whole = beside(path, "whole.wav")
    make(whole, sound(seconds), arguments=_PCM)
    return whole


@gives("mp4", stereo(5, quiet=True))
@also_gives("mov", stereo(5, quiet=True))
def film_claims_to_be_longer_than_its_tracks(path: Path) -> None:
    """A site cut a clip out of a long stream and left the length of the whole in its header."""
    whole = beside(path, f"whole{path.suffix}")
    make(whole, pictures(5), sound(5), arguments=[*_AAC, "-movflags", "+faststart"])

    def inflate(data: bytearray) -> None:
        at = box(data, "mvhd") + 16
        put(data, at, ">I", 8 * get(data, at, ">I"))

    patched(whole, path, inflate)


@gives("mp4", stereo(3, quiet=True), more=4)
@also_gives("mp4", stereo(3, quiet=True), label="much", more=4000)
def media_box_is_too_long(path: Path, more: int) -> None:
    """A tool wrote a media box that ends behind the file, in which all samples of the sound are there."""
    whole = beside(path, "whole.mp4")
    make(whole, pictures(3), sound(3), arguments=[*_AAC, "-movflags", "+faststart"])

    def lengthen(data: bytearray) -> None:
        at = box(data, "mdat") - 8
        put(data, at, ">I", get(data, at, ">I") + more)

    patched(whole, path, lengthen)


@also_gives("wav", stereo(3, quiet=True), label="0", riff=0, data=0)
@gives("wav", stereo(3, quiet=True), label="7fffffff", riff=0x7FFFFFFF, data=0x7FFFFFFF - 36)
@also_gives("wav", stereo(3, quiet=True), label="7ffff000", riff=0x7FFFF024, data=0x7FFFF000)
@gives("wav", stereo(3, quiet=True), label="80000000", riff=0x80000024, data=0x80000000)
@also_gives("wav", stereo(3, quiet=True), label="ffffffff", riff=0xFFFFFFFF, data=0xFFFFFFFF)
def sound_was_written_to_a_pipe(path: Path, riff: int, data: int) -> None:
    """A recorder wrote to a pipe, where it could not go back to write how long it was."""

    def guess(content: bytearray) -> None:
        put(content, _RIFF_SIZE, "<I", riff)
        put(content, content.index(b"data") + 4, "<I", data)

    patched(_wave(path, 3), path, guess)


@gives("wav", stereo(3, quiet=True), more=8)
@also_gives("wav", stereo(3, quiet=True), label="1", more=1)
def header_counts_itself(path: Path, more: int) -> None:
    """A recorder in a browser gives the file a few bytes more than it has; the sound has the right size."""
    patched(_wave(path, 3), path, lambda data: put(data, _RIFF_SIZE, "<I", len(data) - 8 + more))


@gives("wav", stereo(6, failure=("corrupt-media", "truncated-media", "invalid-media")))
def length_has_wrapped(path: Path) -> None:
    """A long recording has more bytes than 32 bits can count, so its header tells a small part of them."""

    def understate(data: bytearray) -> None:
        put(data, _RIFF_SIZE, "<I", 36 + 192_000)
        put(data, data.index(b"data") + 4, "<I", 192_000)

    patched(_wave(path, 6), path, understate)


@gives("ogg", stereo(3, quiet=True), codec="libopus")
@also_gives("ogg", stereo(3, quiet=True), label="vorbis", codec="libvorbis")
@also_gives("ogg", stereo(3, quiet=True), label="flac", codec="flac")
def last_page_is_not_marked(path: Path, codec: str) -> None:
    """A voice message has all its pages, and none that says it is the last."""
    whole = beside(path, "whole.ogg")
    make(whole, sound(3), arguments=["-c:a", codec])

    def unmark(data: bytearray) -> None:
        *_, (start, end) = ogg_pages(data)
        data[start + 5] &= ~4
        ogg_sign(data, start, end)

    patched(whole, path, unmark)


@gives("caf", stereo(4, quiet=True))
def recorder_was_still_open(path: Path) -> None:
    """A CAF was copied while it was being recorded, when the size of its sound was unknown."""
    whole = beside(path, "whole.caf")
    make(whole, sound(4), arguments=["-c:a", "pcm_s16be"])
    patched(whole, path, lambda data: put(data, data.index(b"data") + 4, ">q", -1))


@gives("au", stereo(4, quiet=True))
def length_is_unknown(path: Path) -> None:
    """A program of the nineties wrote its sound to a pipe, with the size that stands for unknown."""
    whole = beside(path, "whole.au")
    make(whole, sound(4), arguments=["-c:a", "pcm_s16be"])
    patched(whole, path, lambda data: put(data, 8, ">I", 0xFFFFFFFF))


@gives("webm", stereo(5, quiet=True))
@also_gives("mkv", stereo(5, quiet=True))
def browser_recorded(path: Path) -> None:
    """A browser recorded a call: the file has neither a length nor an index."""
    kind = "webm" if path.suffix == ".webm" else "matroska"
    make(path, pictures(5), sound(5), arguments=[*VP8, "-c:a", "libopus", "-live", "1", "-f", kind])


@gives("mp3", stereo(6))
@also_gives("mp3", stereo(6), label="constant", rate=("-b:a", "128k"))
def mp3_has_no_header(path: Path, rate: tuple[str, ...] = ("-q:a", "2")) -> None:
    """A stream of MP3 frames was saved, which nothing precedes that tells their number."""
    make(path, sound(6), arguments=["-c:a", "libmp3lame", *rate, "-write_xing", "0"])


@gives("mp4", stereo(8, tolerance=0.15, quiet=True))
def slides_at_one_picture_a_second(path: Path) -> None:
    """A lecture shows one slide a second, each coded with the next: its clock runs behind the sound."""
    make(path, pictures(8, rate=1), sound(8), arguments=["-c:v", "mpeg4", "-bf", "2", "-c:a", "aac"])


@gives("mov", tones(880, 1100, 1320))
def film_was_trimmed(path: Path) -> None:
    """A film was trimmed in a player, which only changed the edit list: 2 to 5 s are heard."""
    whole = beside(path, "whole.mov")
    make(whole, pictures(10), steps(10), arguments=[*MPEG4, "-g", "1", "-c:a", "pcm_s16le", "-use_editlist", "1"])

    def trim(data: bytearray) -> None:
        movie = get(data, box(data, "mvhd") + 12, ">I")
        put(data, box(data, "mvhd") + 16, ">I", 3 * movie)
        track = -1
        while (track := data.find(b"trak", track + 1)) > 0:
            media = get(data, data.index(b"mdhd", track) + 16, ">I")
            put(data, data.index(b"tkhd", track) + 24, ">I", 3 * movie)
            put(data, data.index(b"elst", track) + 12, ">II", 3 * movie, 2 * media)

    patched(whole, path, trim)


@gives("mov", tones(440, 660, 1760, 1980))
def film_was_cut_in_the_middle(path: Path) -> None:
    """A film was cut in a player, which only made a second edit: 0 to 2 s and 6 to 8 s are heard."""
    whole = beside(path, "whole.mov")
    make(whole, steps(10), arguments=["-c:a", "pcm_s16le", "-use_editlist", "1"])

    def cut(data: bytearray) -> bytes:
        movie = get(data, box(data, "mvhd") + 12, ">I")
        media = get(data, box(data, "mdhd") + 12, ">I")
        start = box(data, "elst") - 8
        edits = bytearray(16 + 2 * 12)
        put(edits, 0, ">I4sII", len(edits), b"elst", 0, 2)
        put(edits, 16, ">III", 2 * movie, 0, 0x10000)
        put(edits, 28, ">III", 2 * movie, 6 * media, 0x10000)
        grown = len(edits) - get(data, start, ">I")
        for name in ("moov", "trak", "edts"):
            at = box(data, name) - 8
            put(data, at, ">I", get(data, at, ">I") + grown)
        put(data, box(data, "mvhd") + 16, ">I", 4 * movie)
        put(data, box(data, "tkhd") + 20, ">I", 4 * movie)
        return bytes(data[:start] + edits + data[start + len(edits) - grown :])

    patched(whole, path, cut)


@gives("mka", mono(3, quiet=True))
def length_of_the_file_is_rounded(path: Path) -> None:
    """A file of 8 kHz speech has packets whose length its clock can only round."""
    make(path, "aevalsrc=0.25*sin(2*PI*440*t):s=8000:d=3", arguments=["-c:a", "pcm_alaw"])


@also_gives("wav", stereo(3, quiet=True))
def list_behind_the_sound_is_cut(path: Path) -> None:
    """A WAV has all its sound, and the list of its tags behind it is cut."""
    whole = beside(path, "whole.wav")
    make(whole, sound(3), arguments=["-c:a", "pcm_s16le", "-metadata", f"title={'a' * 200}"])

    def move(data: bytearray) -> bytes:
        tags, body = data.index(b"LIST"), data.index(b"data")
        return bytes(data[:tags] + data[body:] + data[tags:body])[:-100]

    patched(whole, path, move)


@also_gives("wav", Expected(seconds=0.2, tolerance=0.03, quiet=True), codec="pcm_s16le")
@also_gives("m4a", Expected(seconds=0.2, tolerance=0.03, quiet=True), codec="aac")
@also_gives("ogg", Expected(seconds=0.2, tolerance=0.03, quiet=True), codec="libvorbis")
@also_gives("mp3", Expected(seconds=0.2, tolerance=0.03, quiet=True), codec="libmp3lame")
def sound_is_short(path: Path, codec: str) -> None:
    """A game has sounds of a fifth of a second."""
    make(path, tone(440, 0.2), arguments=["-c:a", codec])
