"""ZIP files that are laid out before a byte of their files is read, looked at by other programs."""

import io
import shutil
import subprocess
import zipfile
import zlib
from datetime import UTC, datetime, timedelta

import pytest

from functions.download.parcels import Parcel, StoredMp3, zip_parcel
from functions.download.zips import ZipEntry, lay_out
from functions.shared.conversions import Mp3

NOON = datetime(2026, 11, 30, 12, 34, 57, tzinfo=UTC)
GIB = 1024**3
FILES = {"Grüße.mp3": b"one", "空.mp3": b"", "a (2).mp3": bytes(range(256)) * 5}


def zipped(files: dict[str, bytes]) -> bytes:
    layout = lay_out([ZipEntry(name, NOON, len(content), zlib.crc32(content)) for name, content in files.items()])
    parts = [part for pair in zip(layout.headers, files.values(), strict=True) for part in pair]
    return b"".join([*parts, layout.directory])


def test_a_zip_holds_its_files_under_their_names():
    """Every byte is accounted for: Python checks names, sizes and checksums."""
    with zipfile.ZipFile(io.BytesIO(zipped(FILES))) as archive:
        assert archive.testzip() is None
        assert {info.filename: archive.read(info) for info in archive.infolist()} == FILES
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time for info in archive.infolist()} == {(2026, 11, 30, 12, 34, 56)}
        assert {oct(info.external_attr >> 16) for info in archive.infolist()} == {"0o100644"}


@pytest.mark.skipif(shutil.which("unzip") is None, reason="unzip is not installed")
def test_other_programs_unpack_it_with_exact_times(tmp_path):
    """Unzip reads what Python does not: the time to the second, whatever zone the reader is in."""
    (tmp_path / "a.zip").write_bytes(zipped(FILES))

    checked = subprocess.run(["unzip", "-t", "a.zip"], cwd=tmp_path, capture_output=True, text=True, check=False)
    subprocess.run(["unzip", "-q", "a.zip"], cwd=tmp_path, env={"LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo"}, check=True)

    assert (checked.returncode, checked.stderr) == (0, "")
    assert "No errors detected" in checked.stdout
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*.mp3")} == FILES
    assert {path.stat().st_mtime for path in tmp_path.glob("*.mp3")} == {NOON.timestamp()}


@pytest.mark.parametrize("sizes", [[4 * GIB + 1, 3], [GIB, 2 * GIB, GIB, GIB, 3], [2**32 - 2, 3], [2**32 - 1, 3]])
def test_a_zip_of_more_than_4_gib_is_read_by_others(tmp_path, sizes):
    """Plain ZIP counts in 32 bits. A file, a position, and the end may each be past them; all is sparse on the disk."""
    last = b"end"
    crc32s = [0] * (len(sizes) - 1) + [zlib.crc32(last)]
    entries = [ZipEntry(f"{number}.mp3", NOON, size, crc32s[number]) for number, size in enumerate(sizes)]
    layout = lay_out(entries)
    with (tmp_path / "a.zip").open("wb") as file:
        for header, entry in zip(layout.headers, entries, strict=True):
            file.write(header)
            file.seek(entry.bytes - len(last), io.SEEK_CUR)
            file.write(last)
        file.write(layout.directory)

    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert [info.file_size for info in archive.infolist()] == sizes
        assert archive.read(entries[-1].name) == last
        with archive.open(entries[0].name) as first:
            assert first.read(1000) == bytes(1000)


def test_zip64_is_used_only_where_it_is_needed():
    """Old readers know nothing of it, so a ZIP that can do without has none of it."""
    assert b"PK\6\6" not in zipped(FILES)
    assert {info.extract_version for info in zipfile.ZipFile(io.BytesIO(zipped(FILES))).infolist()} == {20}


# As something to send


def stored(number: int, content: bytes, filename: str = "talk.mp4") -> StoredMp3:
    mp3 = Mp3(len(content), f"{number:064x}", 1.0, 128_000, 44_100, 2)
    return StoredMp3(f"c{number}", f"c{number}-1", mp3, filename, NOON + timedelta(seconds=number))


def parcel(*contents: bytes) -> Parcel:
    mp3s = [stored(number, content) for number, content in enumerate(contents)]
    return zip_parcel(mp3s, {each.file_id: zlib.crc32(content) for each, content in zip(mp3s, contents, strict=True)})


def bytes_of(parcel: Parcel, contents: tuple[bytes, ...], start: int, end: int) -> bytes:
    return b"".join(
        piece if isinstance(piece, bytes) else contents[int(piece.stored.conversion_id[1:])][piece.start : piece.end]
        for piece in parcel.cut(start, end)
    )


def test_any_range_of_a_zip_can_be_sent():
    """A download that broke goes on where it was, as that of one MP3 does."""
    contents = (b"first", b"", b"the third")
    whole = bytes_of(parcel(*contents), contents, 0, parcel(*contents).length)

    assert zipfile.ZipFile(io.BytesIO(whole)).namelist() == ["talk.mp3", "talk (2).mp3", "talk (3).mp3"]
    for start in range(len(whole)):
        for end in range(start, len(whole) + 1, 7):
            assert bytes_of(parcel(*contents), contents, start, end) == whole[start:end]


def test_the_etag_is_that_of_the_bytes():
    """Two downloads may be glued together only if they are of the same ZIP."""
    one = parcel(b"first", b"second")

    assert one.etag == parcel(b"first", b"second").etag
    assert one.etag != parcel(b"second", b"first").etag
    assert one.etag != parcel(b"first").etag
    assert one.last_modified == NOON + timedelta(seconds=1)


def test_a_zip_of_a_hundred_is_listed_in_few_bytes():
    """What is written around the MP3s travels in an answer that may have 6 MB, beside a header that names the files."""
    hundred = parcel(*[b"x"] * 100)

    assert sum(len(piece) for piece in hundred.pieces if isinstance(piece, bytes)) < 20_000
