"""What belongs to an MP3 beside its frames: tags, chapters and a cover."""

import tempfile
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from functions.convert.feed import Feed
from functions.convert.media.allowed import DEMUXERS
from functions.convert.media.chapters import fit_chapters
from functions.convert.media.kinds import TAGGED_BY_TRACK
from functions.convert.media.probe import Description
from functions.convert.mp3.cover import find_attached_picture, find_frame, make_cover
from functions.convert.mp3.id3 import make_tag
from functions.convert.reading import Reading
from functions.convert.sound.making import Made
from functions.shared.conversions import Note
from functions.shared.options import Chapters, Options

_AUTO, _NONE = "auto", "none"


class Extras(NamedTuple):
    """The ID3 tag that goes before the frames, with what the receipt says of it."""

    tag: bytes
    chapters: int
    has_cover: bool
    notes: tuple[Note, ...]


def make_extras(reading: Reading, description: Description, made: Made, options: Options) -> Extras:
    """Return the tag for frames that were made. Raises AttemptFailed: see Ffmpeg."""
    start_s = options.start or 0.0
    wanted = () if options.chapters is Chapters.NONE else description.chapters
    chapters, cuts = fit_chapters(wanted, start_s, start_s + made.facts.duration_s)
    picture = _picture(reading, description, options)
    cover = make_cover(picture, on_tick=reading.tick) if picture else None
    notes = [Note(cut.code, cut.detail) for cut in cuts]
    if cover is None:
        notes += _about_no_cover(description, options)
    return Extras(
        make_tag(_tags(description, made, options), chapters, cover), len(chapters), cover is not None, tuple(notes)
    )


def _tags(description: Description, made: Made, options: Options) -> Mapping[str, str]:
    """Return the tags, as ffmpeg names them. A soundtrack's name is no title, but Ogg has no other place for one."""
    position = description.position_of(made.choice.tracks[0])
    chosen = options.tags()
    found = {**description.tags, **(description.track_tags[position] if description.kind in TAGGED_BY_TRACK else {})}
    if "track" in chosen:
        found = {name: value for name, value in found.items() if name not in {"tracktotal", "totaltracks"}}
    return {**found, **chosen}


def _picture(reading: Reading, description: Description, options: Options) -> bytes | None:
    if options.cover == _NONE:
        return None
    if options.cover != _AUTO:
        return _frame(reading, float(options.cover))
    if not description.attached_pictures:
        return None
    return find_attached_picture(reading.source, DEMUXERS, on_tick=reading.tick)


def _frame(reading: Reading, time_s: float) -> bytes | None:
    source = reading.source()
    if not isinstance(source, Feed):
        return find_frame(source, DEMUXERS, time_s, on_tick=reading.tick)
    # To get at a frame ffmpeg has to seek.
    with tempfile.TemporaryFile() as file:
        for part in source.rest:
            file.write(part)
            reading.tick()
        return find_frame(file, DEMUXERS, time_s, on_tick=reading.tick)


def _about_no_cover(description: Description, options: Options) -> Iterator[Note]:
    if options.cover == _AUTO and description.attached_pictures:
        yield Note("no-cover", "The picture in the video cannot be used as a cover, so the MP3 has none.")
    elif options.cover not in {_AUTO, _NONE}:
        yield Note(
            "no-cover", f"No picture could be taken from the video at {options.cover} s, so the MP3 has no cover."
        )
