from pathlib import Path

import imageio_ffmpeg
import pytest

from functions.convert.executable import find_ffmpeg


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ffmpeg from a zip that was unpacked without the modes of its files, as Python's zipfile does it."""
    path = tmp_path / "binaries" / "ffmpeg-linux-x86_64-v9"
    path.parent.mkdir()
    path.touch(mode=0o644)
    monkeypatch.setattr(imageio_ffmpeg, "__file__", str(tmp_path / "__init__.py"))
    return path


def test_an_ffmpeg_that_lost_its_mode_is_made_executable(unpacked: Path):
    """Or every conversion there would fail, whatever the video."""
    assert find_ffmpeg.__wrapped__() == str(unpacked)
    assert unpacked.stat().st_mode & 0o777 == 0o755


def test_one_that_can_be_run_stays_as_it_is(unpacked: Path):
    """On Lambda nothing there can be changed, and nothing needs to be."""
    unpacked.chmod(0o555)

    find_ffmpeg.__wrapped__()

    assert unpacked.stat().st_mode & 0o777 == 0o555


def test_one_that_does_not_run_at_first_is_the_one_all_the_same(unpacked: Path):
    """Its first run may have been killed. Another on the PATH can do other things, and may do what this may not."""
    assert find_ffmpeg.__wrapped__() == str(unpacked)


def test_a_package_without_one_says_so(unpacked: Path):
    unpacked.unlink()

    with pytest.raises(RuntimeError, match="no ffmpeg"):
        find_ffmpeg.__wrapped__()
