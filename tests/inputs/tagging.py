"""Tags, covers and chapters."""

from pathlib import Path

from tests.inputs.expected import stereo
from tests.inputs.making import MPEG4, VP8, beside, make, patched, pictures
from tests.inputs.making import stereo as sound
from tests.inputs.recipe import also_gives, gives
from tests.media import ffmpeg

_NO_TITLE = stereo(3, no_frames=("TIT2", "TXXX", "TSSE"), quiet=True)
_SONG = {"TIT2": "Song", "TPE1": "Band"}
_TITLE, _ARTIST = "Пожелание", "Ансамбль «Река»"


@gives("mkv", _NO_TITLE, name="Surround 5.1 (Deutsch)")
@gives("mp4", _NO_TITLE, name="Stereo")
@also_gives("webm", _NO_TITLE, name="Stereo", codecs=(*VP8, "-c:a", "libopus"))
def soundtrack_has_a_name(path: Path, name: str, codecs: tuple[str, ...] = (*MPEG4, "-c:a", "aac")) -> None:
    """A converter names the soundtrack, and the film has no title: the name is not a title."""
    names = ["-metadata:s:a:0", f"title={name}", "-metadata:s:a:0", f"handler_name={name}"]
    make(path, pictures(3), sound(3), arguments=[*codecs, *names, "-metadata:s:a:0", "language=deu"])


@gives("mkv", stereo(4, no_frames=("TIT2",), frames=("CHAP", "CTOC")))
@also_gives("mp4", stereo(4, no_frames=("TIT2",), frames=("CHAP", "CTOC")))
def chapters_have_names(path: Path) -> None:
    """A disc rip has chapters and no title: the name of the first chapter is not a title."""
    made = beside(path, "made.mkv")
    make(made, pictures(4), sound(4), arguments=[*MPEG4, "-c:a", "aac"])
    _describe(made, path, chapters=("Chapter 01", "Chapter 02"))


@gives("mp4", stereo(3, tags={**_SONG, "TYER": "2014", "TDAT": "0811"}), date="20141108")
@also_gives("mp4", stereo(3, tags={**_SONG, "TYER": "2014", "TDAT": "0811"}), label="iso", date="2014-11-08")
@also_gives("mp4", stereo(3, tags={**_SONG, "TYER": "2014"}, no_frames=("TDAT",)), label="german", date="08.11.2014")
@also_gives("mp4", stereo(3, tags={**_SONG, "TYER": "2014"}, no_frames=("TDAT",)), label="year", date="2014")
@also_gives("mkv", stereo(3, tags={**_SONG, "TYER": "2014", "TDAT": "0811"}), date="20141108")
@also_gives("mkv", stereo(3, tags={**_SONG, "TYER": "2014", "TDAT": "0811"}), label="time", date="2014-11-08T20:15:00Z")
@also_gives("mkv", stereo(3, tags=_SONG, no_frames=("TYER", "TDAT")), label="none", date="some day")
def date_is_written_in_many_ways(path: Path, date: str) -> None:
    """Downloaders and editors write the date as they like: players want the year."""
    tags = {"title": "Song", "artist": "Band", "date": date, "comment": "https://example.com/watch"}
    make(path, pictures(3), sound(3), arguments=[*MPEG4, "-c:a", "aac", *_metadata(tags)])


@gives(
    "avi",
    stereo(3, tags={"TIT2": _TITLE, "TPE1": _ARTIST}),
    stereo(3, no_frames=("TIT2", "TPE1")),
)
def tags_are_in_a_code_page(path: Path) -> None:
    """An old AVI has tags in the Windows code page of its country: readable, or left out."""
    whole = beside(path, "whole.avi")
    title, artist = _TITLE.encode("cp1251"), _ARTIST.encode("cp1251")
    places = {"title": "X" * len(title), "artist": "Y" * len(artist)}
    make(whole, pictures(3), sound(3), arguments=[*MPEG4, "-c:a", "libmp3lame", *_metadata(places)])

    def write(data: bytearray) -> bytes:
        return bytes(data).replace(places["title"].encode(), title).replace(places["artist"].encode(), artist)

    patched(whole, path, write)


# Each tag of a book, and the frame that it becomes.
_BOOK = {
    "title": ("TIT2", "Book"),
    "artist": ("TPE1", "Reader"),
    "album": ("TALB", "Series"),
    "album_artist": ("TPE2", "Author"),
    "genre": ("TCON", "Audiobook"),
    "track": ("TRCK", "3/12"),
    "composer": ("TCOM", "Composer"),
    "date": ("TYER", "2021"),
}
_WHOLE_BOOK = stereo(4, tags=dict(_BOOK.values()), frames=("APIC", "CHAP", "CTOC"))


@gives("m4b", _WHOLE_BOOK)
@gives("mka", _WHOLE_BOOK)
def audio_book(path: Path) -> None:
    """An audio book has all its tags, a cover and chapters, and keeps them."""
    tags = {key: text for key, (_, text) in _BOOK.items()}
    cover, made = beside(path, "cover.jpg"), beside(path, "made.mka")
    make(cover, "color=red:size=64x64:duration=0.1:rate=10", arguments=["-frames:v", "1"])
    make(made, sound(4), arguments=["-c:a", "aac"])
    if path.suffix == ".mka":
        attached = [
            "-attach",
            str(cover),
            "-metadata:s:t",
            "mimetype=image/jpeg",
            "-metadata:s:t",
            "filename=cover.jpg",
        ]
        _describe(made, path, *attached, tags=tags, chapters=("One", "Two"))
    else:
        with_cover = beside(path, "cover.mp4")
        attached = ["-map", "0", "-map", "1", "-c", "copy", "-disposition:v", "attached_pic", "-f", "mp4"]
        ffmpeg("-i", str(made), "-i", str(cover), *attached, str(with_cover))
        _describe(with_cover, path, "-f", "mp4", tags=tags, chapters=("One", "Two"))


@gives("flac", stereo(4, tags={**_SONG, "TPE2": "All"}, frames=("APIC",)), codec="flac")
@also_gives("mp3", stereo(4, tags={**_SONG, "TPE2": "All"}, frames=("APIC",)), codec="libmp3lame")
@also_gives("m4a", stereo(4, tags={**_SONG, "TPE2": "All"}, frames=("APIC",)), codec="alac")
def song_with_a_cover(path: Path, codec: str) -> None:
    """A song has a cover inside, which is not a film."""
    cover = beside(path, "cover.png")
    make(cover, "testsrc=size=300x300:rate=1", arguments=["-frames:v", "1"])
    tags = _metadata({"title": "Song", "artist": "Band", "album_artist": "All"})
    attached = ["-map", "0", "-map", "1", "-c:a", codec, "-c:v", "copy", "-disposition:v", "attached_pic"]
    ffmpeg("-f", "lavfi", "-i", sound(4), "-i", str(cover), *attached, *tags, str(path))


@gives("ogg", stereo(3, tags={"TIT2": _TITLE, "TPE1": _ARTIST}), codec="libvorbis")
@also_gives("opus", stereo(3, tags={"TIT2": _TITLE, "TPE1": _ARTIST}), codec="libopus")
@also_gives("mka", stereo(3, tags={"TIT2": _TITLE, "TPE1": _ARTIST}), codec="aac")
@also_gives("m4a", stereo(3, tags={"TIT2": _TITLE, "TPE1": _ARTIST}), codec="aac")
@also_gives("wma", stereo(3, tags={"TIT2": _TITLE, "TPE1": _ARTIST}), codec="wmav2")
def tags_are_in_any_script(path: Path, codec: str) -> None:
    """Titles are in all scripts; in Ogg they belong to the stream."""
    make(path, sound(3), arguments=["-c:a", codec, *_metadata({"title": _TITLE, "artist": _ARTIST})])


@gives(
    "m4a",
    stereo(
        3,
        tags={"TIT2": "Song", "TPOS": "1/2", "TCMP": "1", "TCOP": "2020 A Label", "USLT::XXX": "la la"},
        no_frames=("TXXX", "TSSE", "TENC"),
    ),
    stereo(
        3,
        tags={"TIT2": "Song", "TPOS": "1/2", "TCMP": "1", "TCOP": "2020 A Label", "USLT::eng": "la la"},
        no_frames=("TXXX", "TSSE", "TENC"),
    ),
)
def song_from_a_shop(path: Path) -> None:
    """A song from a shop says which disc it was on, whose it is, and its words."""
    tags = {"title": "Song", "disc": "1/2", "compilation": "1", "copyright": "2020 A Label", "lyrics": "la la"}
    make(path, sound(3), arguments=["-c:a", "aac", *_metadata(tags)])


@gives("mov", stereo(3, no_frames=("TIT2", "TYER", "TXXX", "TSSE", "COMM", "TENC")))
def film_from_a_phone(path: Path) -> None:
    """A phone writes where and with what a film was taken: none of that belongs in the MP3."""
    noise = {
        "com.apple.quicktime.location.ISO6709": "+48.2082+016.3738+170.000/",
        "com.apple.quicktime.model": "Phone 9",
        "com.apple.quicktime.make": "Maker",
        "com.apple.quicktime.software": "19.1",
        "creation_time": "2024-05-06T07:08:09Z",
    }
    tags = [*_metadata(noise), "-movflags", "+use_metadata_tags"]
    make(path, pictures(3), sound(3), arguments=[*MPEG4, "-c:a", "aac", *tags])


@gives("wav", stereo(3, tags=_SONG))
@also_gives("avi", stereo(3, tags=_SONG), codecs=(*MPEG4, "-c:a", "libmp3lame"))
def tags_of_riff(path: Path, codecs: tuple[str, ...] = ("-c:a", "pcm_s16le")) -> None:
    """A WAV or AVI has its title in a list of its own."""
    tags = _metadata({"title": "Song", "artist": "Band"})
    sources = (sound(3),) if path.suffix == ".wav" else (pictures(3), sound(3))
    make(path, *sources, arguments=[*codecs, *tags])


def _metadata(tags: dict[str, str]) -> list[str]:
    return [part for key, value in tags.items() for part in ("-metadata", f"{key}={value}")]


def _describe(
    source: Path, path: Path, *arguments: str, tags: dict[str, str] | None = None, chapters: tuple[str, ...]
) -> None:
    """Copy a file and give it tags, and chapters of 2 s each."""
    lines = [";FFMETADATA1", *(f"{key}={value}" for key, value in (tags or {}).items())]
    for number, title in enumerate(chapters):
        start = 2000 * number
        lines += ["[CHAPTER]", "TIMEBASE=1/1000", f"START={start}", f"END={start + 2000}", f"title={title}"]
    description = beside(path, "txt")
    description.write_text("\n".join(lines) + "\n")
    maps = ["-map", "0", "-map_metadata", "1", "-map_chapters", "1", "-c", "copy"]
    ffmpeg("-i", str(source), "-i", str(description), *maps, *arguments, str(path))


@also_gives("mp3", stereo(3, tags=_SONG), version="v1")
@also_gives("mp3", stereo(3, tags=_SONG), label="2.4", version="4")
@also_gives("mp3", stereo(3, tags=_SONG), label="2.3", version="3")
def song_with_an_old_tag(path: Path, version: str) -> None:
    """A song has its tag in one of the versions that MP3s have had."""
    tags = _metadata({"title": "Song", "artist": "Band"})
    chosen = "0" if version == "v1" else version
    make(path, sound(3), arguments=["-c:a", "libmp3lame", *tags, "-id3v2_version", chosen])
    if version == "v1":
        with path.open("ab") as song:
            song.write(b"TAG" + b"Song".ljust(30, b"\0") + b"Band".ljust(30, b"\0") + bytes(64) + b"\xff")


@also_gives("m4a", stereo(3, tags={"TIT2": "Song"}, no_frames=("TYER", "TDAT")), date="0000")
@also_gives("m4a", stereo(3, tags={"TIT2": "Song"}, no_frames=("TYER", "TDAT")), label="zeros", date="0000-00-00")
@also_gives("m4a", stereo(3, tags={"TIT2": "Song", "TYER": "2014"}, no_frames=("TDAT",)), label="month", date="2014-11")
def date_is_not_a_day(path: Path, date: str) -> None:
    """A program fills in a date that it does not know, or knows in part."""
    make(path, sound(3), arguments=["-c:a", "aac", *_metadata({"title": "Song", "date": date})])
