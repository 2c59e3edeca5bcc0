"""What the first bytes of a file say."""

import pytest

from functions.shared.sniffing import UnsupportedMedia, refuse_other_than_media


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"<!DOCTYPE html><title>Not found</title>", "a web page"),
        (b"\xef\xbb\xbf\r\n  <HTML lang=en>", "a web page"),
        (b"MZ\x90\x00\x03\x00\x00\x00", "a Windows program"),
        (b"\x7fELF\x02\x01\x01", "a Linux program"),
        (b"\xcf\xfa\xed\xfe\x07\x00", "a macOS program"),
        (b"#!/bin/sh\nrm -rf /", "a script"),
        (b"PK\x03\x04\x14\x00", "a ZIP archive"),
        (b"\x1f\x8b\x08\x00", "a gzip archive"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "a PNG image"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "a JPEG image"),
        (b"GIF89a\x01\x00", "a GIF image"),
        (b"RIFF\x24\x00\n\x00WEBPVP8 ", "a WebP image"),
        (b"%PDF-1.7", "a PDF document"),
        (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\nhttp://127.0.0.1/secret", "a playlist"),
        (b"ffconcat version 1.0\nfile 'other.mp4'", "a list of files to join"),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1", "a description of a stream"),
        (b'<?xml version="1.0"?><MPD>', "an XML document"),
        (b"<MPD xmlns='urn:mpeg:dash:schema:mpd:2011'>", "an XML document"),
        (b"<!-- a comment --><MPD>", "an XML document"),
    ],
)
def test_what_is_evidently_no_video_is_named(head, kind):
    """A person who picked the wrong file learns it at once; a playlist never reaches a demuxer."""
    with pytest.raises(UnsupportedMedia) as refusal:
        refuse_other_than_media(head)

    assert refusal.value.kind == kind


@pytest.mark.parametrize(
    "head",
    [
        b"\x00\x00\x00\x18ftypmp42",
        b"\x00\x00\x00\x08wide\x00\x01mdat",
        b"\x1a\x45\xdf\xa3\x01\x00\x00\x00",
        b"RIFF\x24\x00\x00\x00AVI LIST",
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"OggS\x00\x02",
        b"FLV\x01\x05",
        b"G@\x00\x10" + b"\x00" * 184 + b"G",
        b"\x00\x00\x01\xba\x44",
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        b"ID3\x04\x00",
        b"\xff\xfb\x90\x00",
        b"\xff\xf1\x50\x80",
        b"fLaC\x00\x00\x00\x22",
        b"mz not a program",
        b"v=00",
        b"   ",
        b"x",
    ],
)
def test_what_may_be_a_video_passes(head):
    """Here is no judge of formats: convert looks at the whole file."""
    refuse_other_than_media(head)
