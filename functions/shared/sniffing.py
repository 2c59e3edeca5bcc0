"""What the first bytes of a file say about it.

Only what is evidently no video is named here, and what must never reach a demuxer: playlists and descriptions, which
make a player open other files. All else is for convert to judge, which looks at the whole file. Upload looks at what it
sees the beginning of, convert at every video.
"""

import re

from functions.shared.problems import Problem

SNIFFED_BYTES = 1024


class UnsupportedMedia(Problem):
    """Raised when a file is evidently something else than a video."""

    code = "unsupported-media"

    def __init__(self, kind: str) -> None:
        super().__init__(f"This is {kind}. Send a video, such as MP4, MKV, WebM, MOV or AVI.")
        self.kind = kind


# The exact bytes that a file begins with, as the `file` command knows them.
_BINARIES = {
    "a PNG image": rb"\x89PNG\r\n\x1a\n",
    "a JPEG image": rb"\xff\xd8\xff",
    "a GIF image": rb"GIF8[79]a",
    "a WebP image": rb"RIFF(?s:....)WEBP",
    "a PDF document": rb"%PDF-",
    "a ZIP archive": rb"PK(\x03\x04|\x05\x06|\x07\x08)",
    "a gzip archive": rb"\x1f\x8b\x08",
    "a 7-Zip archive": rb"7z\xbc\xaf\x27\x1c",
    "a RAR archive": rb"Rar!\x1a\x07",
    "an XZ archive": rb"\xfd7zXZ\x00",
    "a Windows program": rb"MZ",
    "a Linux program": rb"\x7fELF",
    "a macOS program": rb"\xfe\xed\xfa[\xce\xcf]|[\xce\xcf]\xfa\xed\xfe|\xca\xfe\xba\xbe",
    "a script": rb"#![ \t]*/",
}
# What follows a byte order mark and white space.
_TEXTS = {
    "a web page": rb"<(!doctype html|html|head|body|script)\b",
    "an XML document": rb"<(\?xml|!doctype|mpd|smil|svg|asx|assetmap)\b|<!--",
    "a playlist": rb"#EXTM3U|\[playlist\]|\[reference\]|RTSPtext",
    "a list of files to join": rb"ffconcat\b",
    "a description of a stream": rb"v=0\r?\n",
}
_SIGNATURES = {kind: re.compile(bytes_) for kind, bytes_ in _BINARIES.items()} | {
    kind: re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:" + text + rb")", re.IGNORECASE) for kind, text in _TEXTS.items()
}


def refuse_other_than_media(head: bytes) -> None:
    """Look at the first SNIFFED_BYTES of a file. Raises UnsupportedMedia."""
    for kind, signature in _SIGNATURES.items():
        if signature.match(head):
            raise UnsupportedMedia(kind)
