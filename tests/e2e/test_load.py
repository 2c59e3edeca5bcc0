"""The benchmark that puts load on a stack, with little of it: what it says must be true."""

from pathlib import Path

from rich.console import Console

from benchmarks.load import make_clip, put_load, rows
from infra.local.stack import RunningStack

CLIPS = 24


def test_clips_that_many_clients_upload_at_once_are_converted_once_each(stack: RunningStack, tmp_path: Path):
    """A crowd is an ordinary day. And a benchmark that looks at nothing would find all well for ever."""
    load = put_load(stack, make_clip(tmp_path / "clip.mp4"), CLIPS, 8, Console(quiet=True))

    assert len({each.conversion_id for each in load.sent}) == CLIPS
    assert load.verdict.ends == {"completed": CLIPS}
    assert load.verdict.is_clean, load.verdict.reasons
    assert not load.verdict.untold
    assert 0 < load.uploaded_s < load.converted_s
    assert {what: len(answers) > 0 for what, answers in load.alone_ms.items()} == {"list": True, "status": True}
    assert min(load.before_mb, *load.memory_mb) > 30
    assert all(len(row) == 5 for row in rows(load))
