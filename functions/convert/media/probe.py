"""What ffmpeg finds in a file, read from what it writes for machines.

There is no ffprobe beside the bundled ffmpeg. What it logs is meant for people, and quotes from the file, so a file
could make it say anything. Its muxers framecrc and ffmetadata say what is needed in formats of their own: the streams
with their codecs, and their tags and the chapters. Which of the streams are commentaries, descriptions or pictures
shows in what `-map 0:a:disp:comment` chooses: https://ffmpeg.org/ffmpeg.html#Stream-specifiers-1
"""

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import IO, NamedTuple

from functions.convert.failures import AttemptFailed, InvalidMedia, NoAudioTrack, TooManyStreams, UnsupportedMedia
from functions.convert.ffmpeg import ENDED, Source, run_briefly, scratch
from functions.convert.media.allowed import DECODABLE, DECODERS, DEMUXERS
from functions.convert.media.chapters import Chapter, one_line
from functions.convert.media.findings import Container
from functions.convert.media.limits import MAX_STREAMS
from functions.convert.media.listing import Stream, packets
from functions.convert.media.listing import streams as streams_in
from functions.convert.media.metadata import FFMetadata, parse_ffmetadata
from functions.shared.conversions import Track

# Which of a stream's dispositions matter, and what the receipt calls those that a listener avoids.
_ROLES = {
    "comment": "commentary",
    "visual_impaired": "visual-impaired",
    "descriptions": "descriptions",
    "hearing_impaired": "hearing-impaired",
}
_DEFAULT = "default"
_ATTACHED = "attached_pic"
# More than the limit, so that the rest can be counted.
_COUNTED_STREAMS = 4 * MAX_STREAMS
# Where nothing is found about a soundtrack at the start of a file, it may begin behind minutes of pictures.
_THOROUGH = ("-probesize", "100M", "-analyzeduration", "60M")
# So much of a file tells soundtracks apart that have the same codec.
_FIRST_PACKETS = ("-t", "10", "-frames:a", "1000")
_NO_INPUT = 234
_LANGUAGE_MAX_CHARACTERS = 35
_TITLE_MAX_CHARACTERS = 100

# A packet as its stream is known by it: time stamp, size and checksum.
_Fingerprint = tuple[int, int, bytes]


class Description(NamedTuple):
    """What is in a file.

    Attributes:
        kind: the kind of container, as Container has it.
        tracks: the soundtracks, in the file's order.
        layouts: the name of each soundtrack's channel layout, as ffmpeg writes it.
        specifiers: what ffmpeg calls each soundtrack: `0:a:1`.
        tags: those of the container, and those of each soundtrack.
        has_pictures: whether there are pictures beside those that are attached, by which the sound has its place.
        attached_pictures: how many pictures are attached.
        input_arguments: what ffmpeg is to be given to find the same again.
    """

    kind: str
    tracks: tuple[Track, ...]
    layouts: tuple[str, ...]
    specifiers: tuple[str, ...]
    tags: Mapping[str, str]
    track_tags: tuple[Mapping[str, str], ...]
    chapters: tuple[Chapter, ...]
    has_pictures: bool
    attached_pictures: int
    input_arguments: tuple[str, ...]

    def position_of(self, track: Track) -> int:
        """Return where a soundtrack stands among `tracks`, `layouts` and `specifiers`."""
        return [each.number for each in self.tracks].index(track.number)

    def specifier_of(self, track: Track) -> str:
        """Return what ffmpeg calls a soundtrack."""
        return self.specifiers[self.position_of(track)]


def probe(
    source: Callable[[], Source], container: Container, on_tick: Callable[[], None], stall_s: float
) -> Description:
    """Look at what `source` makes, from its start. `container` is what its structure says.

    Raises:
        UnsupportedMedia: the container is not one that is converted.
        NoAudioTrack: nothing is in it.
        InvalidMedia: no demuxer makes sense of it.
        TooManyStreams: it has more tracks than a video has.
        AttemptFailed: see Ffmpeg.
    """
    look = _Look(source, container.kind, on_tick, stall_s)
    for arguments in (), _THOROUGH:
        if found := look.for_sound(arguments):
            return _described(look, found, arguments)
    # ffmpeg knows nothing of a soundtrack in which nothing comes, and lists none beside it.
    if (numbers := look.known(_THOROUGH)) and (found := look.for_sound(_THOROUGH, numbers)):
        return _described(look, found, _THOROUGH, numbers)
    return look.for_anything()


class _Found(NamedTuple):
    streams: Sequence[Stream]
    metadata: FFMetadata
    counts: Mapping[str, int]


class _Look:
    """Runs ffmpeg on the file, with what it writes going into memory."""

    def __init__(self, source: Callable[[], Source], kind: str, on_tick: Callable[[], None], stall_s: float) -> None:
        self.kind = kind
        self._source = source
        self._on_tick = on_tick
        self._stall_s = stall_s
        self._exit_code = 0

    def for_sound(self, arguments: Sequence[str], numbers: Sequence[int] = ()) -> _Found | None:
        """Return what there is, or None if there is no soundtrack, or one of which ffmpeg knows nothing.

        With `numbers` the others are left out.
        """
        sound = [f"0:a:{number}" for number in numbers] or ["0:a"]
        base = sound[:1] if numbers else ["0:0"]
        others = [f"-0:a:{number}?" for number in range(MAX_STREAMS) if number not in numbers] if numbers else []
        chosen = [f"0:v:disp:{_ATTACHED}?", *(f"0:a:disp:{name}?" for name in (_DEFAULT, *_ROLES))]
        wanted = [("framecrc", sound if numbers else ["0"]), ("ffmetadata", sound)]
        wanted += [("framecrc", [*base, each, *others]) for each in chosen]
        outputs = self.run(arguments, wanted, ["-frames", "0"])
        if outputs is None:
            return None
        counts = (len(streams_in(output)) - 1 for output in outputs[2:])
        return _Found(
            self._counted(outputs[0]),
            parse_ffmetadata(outputs[1]),
            dict(zip((_ATTACHED, _DEFAULT, *_ROLES), counts, strict=True)),
        )

    def known(self, arguments: Sequence[str]) -> list[int]:
        """Return which soundtracks ffmpeg knows something of."""
        listing = self.run(arguments, [("framecrc", ["0:a:u"])], ["-frames", "0"])
        count = len(streams_in(listing[0])) if listing else 0
        numbers: list[int] = []
        for number in range(MAX_STREAMS):
            if len(numbers) == count:
                break
            if self.run(arguments, [("framecrc", [f"0:a:{number}"])], ["-frames", "0"]):
                numbers.append(number)
        return numbers

    def for_anything(self) -> Description:
        """Return a description without soundtracks, if there is anything. See `probe` for what it raises."""
        outputs = self.run((), [("framecrc", ["0"])], ["-frames", "0"])
        if outputs is None and self._exit_code == _NO_INPUT and self.kind:
            raise NoAudioTrack
        if outputs is None and self._exit_code == _NO_INPUT:
            raise UnsupportedMedia(
                "Files of this kind cannot be converted. Upload an MP4, MOV, MKV, WebM, AVI or similar file."
            )
        if outputs is None:
            raise InvalidMedia
        self._counted(outputs[0])
        return Description(self.kind, (), (), (), {}, (), (), False, 0, ())

    @staticmethod
    def _counted(listing: bytes) -> list[Stream]:
        streams = streams_in(listing)
        if len(streams) > MAX_STREAMS:
            raise TooManyStreams(MAX_STREAMS)
        return streams

    def run(
        self, arguments: Sequence[str], wanted: Sequence[tuple[str, Sequence[str]]], until: Sequence[str]
    ) -> list[bytes] | None:
        """Return what each wanted muxer writes of the streams it is given, or None if ffmpeg ended with an error."""
        with contextlib.ExitStack() as stack:
            files: list[IO[bytes]] = [stack.enter_context(scratch()) for _ in wanted]
            command = [*input_arguments(), *arguments, "-i", "fd:"]
            for file, (muxer, maps) in zip(files, wanted, strict=True):
                command += [part for specifier in maps for part in ("-map", specifier)]
                command += ["-copy_unknown", "-c", "copy", *until, "-f", muxer, "-fd", str(file.fileno()), "fd:"]
            passed = [file.fileno() for file in files]
            self._exit_code = self._run(command, passed)
            if self._exit_code:
                return None
            return [_content(file) for file in files]

    def _run(self, command: Sequence[str], passed: Sequence[int]) -> int:
        code = ENDED
        for _ in range(2):  # somebody may have told ffmpeg to end; a file that makes it end does so each time
            if code == ENDED:
                try:
                    code = self._run_once(command, passed, memory=1)
                except AttemptFailed as failed:
                    if failed.code != "resource-limit":
                        raise
                    code = self._run_in_more_memory(command, passed)
        return code

    def _run_in_more_memory(self, command: Sequence[str], passed: Sequence[int]) -> int:
        try:
            return self._run_once(command, passed, memory=2)
        except AttemptFailed as failed:
            if failed.code != "resource-limit":
                raise
            # However much there is, this file makes ffmpeg ask for more.
            raise InvalidMedia from failed

    def _run_once(self, command: Sequence[str], passed: Sequence[int], memory: int) -> int:
        return run_briefly(
            command, self._source(), passed=passed, on_tick=self._on_tick, stall_s=self._stall_s, memory=memory
        )


def input_arguments() -> list[str]:
    """Return what ffmpeg is given before it opens a file: no protocol but its descriptor, and only what is allowed."""
    return [
        *("-protocol_whitelist", "fd", "-format_whitelist", DEMUXERS, "-codec_whitelist", DECODERS),
        *("-max_streams", str(_COUNTED_STREAMS), "-fd", "0"),
    ]


def _described(look: _Look, found: _Found, arguments: Sequence[str], known: Sequence[int] = ()) -> Description:
    streams = [stream for stream in found.streams if stream.kind == "audio"]
    sections = dict(enumerate(found.metadata.streams))
    tags = [sections.get(index, {}) for index in range(len(streams))]
    numbers = known or range(len(streams))
    specifiers = tuple(f"0:a:{number}" for number in numbers)
    marked = _marked(look, found, arguments, specifiers)
    return Description(
        kind=look.kind,
        tracks=tuple(
            Track(
                number=number + 1,
                codec=stream.codec,
                channels=channels_of(stream.layout),
                sample_rate_hz=stream.rate_hz or None,
                language=_language(tags[position]),
                title=one_line(tags[position].get("title", ""), _TITLE_MAX_CHARACTERS) or None,
                default=position in marked[_DEFAULT],
                role=next((role for name, role in _ROLES.items() if position in marked[name]), None),
                usable=stream.codec in DECODABLE and bool(stream.rate_hz),
            )
            for position, (number, stream) in enumerate(zip(numbers, streams, strict=True))
        ),
        layouts=tuple(stream.layout for stream in streams),
        specifiers=specifiers,
        tags=found.metadata.container,
        track_tags=tuple(tags),
        chapters=found.metadata.chapters,
        has_pictures=bool(known) or sum(each.kind == "video" for each in found.streams) > found.counts[_ATTACHED],
        attached_pictures=found.counts[_ATTACHED],
        input_arguments=(*input_arguments(), *arguments, "-i", "fd:"),
    )


def _marked(
    look: _Look, found: _Found, arguments: Sequence[str], specifiers: Sequence[str]
) -> Mapping[str, frozenset[int]]:
    """Return which soundtracks have each disposition, by their position."""
    everything = frozenset(range(len(specifiers)))
    marked = {name: everything if count == len(everything) else frozenset() for name, count in found.counts.items()}
    unclear = [name for name, count in found.counts.items() if name != _ATTACHED and 0 < count < len(everything)]
    if not unclear:
        return marked
    # Each disposition chooses some of the soundtracks, and by their first packets these are known again.
    maps = [list(specifiers), *(["0:0", f"0:a:disp:{name}?"] for name in unclear)]
    outputs = look.run(arguments, [("framecrc", each) for each in maps], _FIRST_PACKETS)
    if outputs is None:
        return marked
    known = _packets(outputs[0], len(specifiers))
    for name, output in zip(unclear, outputs[1:], strict=True):
        chosen = _packets(output, found.counts[name] + 1)[1:]
        marked[name] = frozenset(_same(chosen, known))
    return marked


def _same(chosen: Sequence[Sequence[_Fingerprint]], known: Sequence[Sequence[_Fingerprint]]) -> list[int]:
    """Return the positions in `known` of what was chosen, in the same order. Of those that are alike, the first."""
    positions: list[int] = []
    for fingerprints in chosen:
        for position, others in enumerate(known):
            common = min(len(fingerprints), len(others))
            if common and position not in positions and fingerprints[:common] == others[:common]:
                positions.append(position)
                break
    return positions


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _packets(listing: bytes, count: int) -> list[list[_Fingerprint]]:
    """Return what tells the packets of each stream from those of another."""
    found: list[list[tuple[int, int, bytes]]] = [[] for _ in range(count)]
    for packet in packets(listing.splitlines()):
        if packet.stream < count:
            found[packet.stream].append((packet.pts, packet.size, packet.checksum))
    return found


_NAMED = {"mono": 1, "stereo": 2, "downmix": 2, "quad": 4, "hexagonal": 6, "octagonal": 8, "cube": 8, "binaural": 2}


def channels_of(layout: str) -> int | None:
    """Return how many channels a layout has by its name, such as `stereo`, `5.1(side)`, `7 channels`, `ambisonic 1`."""
    name = layout.split("(", maxsplit=1)[0].strip()
    if name in _NAMED:
        return _NAMED[name]
    if found := re.fullmatch(r"(\d+) channels.*", name):
        return int(found[1])
    if found := re.fullmatch(r"ambisonic (\d+)(?:\+(.+))?", name):
        return (int(found[1]) + 1) ** 2 + (channels_of(found[2]) or 0 if found[2] else 0)
    if found := re.fullmatch(r"(\d+)\.(\d+)(?:\.(\d+))?", name):
        return sum(int(part) for part in found.groups() if part)
    return None


def _language(tags: Mapping[str, str]) -> str | None:
    language = one_line(tags.get("language", ""), _LANGUAGE_MAX_CHARACTERS)
    return language if language and language != "und" else None
