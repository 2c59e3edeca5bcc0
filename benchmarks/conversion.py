"""How long a conversion takes beside plain ffmpeg on the same file, and how long a short clip takes in all."""

import statistics
import subprocess
import time
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import imageio_ffmpeg
from rich.console import Console

from functions.shared.clock import utc_now
from functions.shared.conversions import Conversion, Owner, State, Video
from functions.shared.events import Event, EventName, publish_owed
from functions.shared.files import CHUNK_BYTES, GridFSFiles, StoredFile
from functions.shared.logs import get_logger
from functions.shared.mongo import connect_mongo
from functions.shared.mongo_conversions import MongoConversions, MongoOutbox
from functions.shared.options import Options
from functions.shared.rabbit_events import RabbitEvents
from infra.local.stack import RunningStack
from video2mp3 import Client

Row = tuple[str, str, str, str, str]

_MINUTES = 20
_MEGABYTES = 200
_ROUNDS = 5
_CLIPS = 9
_PASSWORD = "a password of the benchmarks"


def run(stack: RunningStack, folder: Path, console: Console) -> Iterator[Row]:
    """Yield the rows of the table."""
    yield _long_video(stack, folder, console, same_channels=False)
    yield _long_video(stack, folder, console, same_channels=True)
    yield _short_clip(stack, folder, console)


def _long_video(stack: RunningStack, folder: Path, console: Console, *, same_channels: bool) -> Row:
    """Measure one kind of soundtrack: LAME is quicker when left equals right, and the rest then shows more."""
    console.print(f"Making a video of {_MINUTES} minutes and {_MEGABYTES} MB")
    video = make_video(
        folder / "long.mp4", seconds=_MINUTES * 60, size_bytes=_MEGABYTES * 1_000_000, same_channels=same_channels
    )
    kind = "left = right" if same_channels else "left and right differ"
    ours, theirs, ratios = [], [], []
    for _ in range(_ROUNDS):
        ours.append(message_to_commit_s(stack, video))
        theirs.append(plain_ffmpeg_s(video, folder / "plain.mp3"))
        ratios.append(ours[-1] / theirs[-1])
        console.print(f"  message to commit {ours[-1]:.2f} s, ffmpeg -vn -q:a 2 {theirs[-1]:.2f} s")
    return (
        f"message to commit, {_MINUTES} min MP4 of {video.stat().st_size / 1e6:.0f} MB, {kind}",
        f"{statistics.median(ours):.2f} s",
        f"ffmpeg -vn -q:a 2: {statistics.median(theirs):.2f} s",
        f"{statistics.median(ratios):.3f}",
        "at most 1.15",
    )


def _short_clip(stack: RunningStack, folder: Path, console: Console) -> Row:
    clip = make_video(folder / "short.mp4", seconds=5, size_bytes=1_000_000)
    plain = statistics.median(plain_ffmpeg_s(clip, folder / "plain.mp3") for _ in range(_CLIPS))
    with Client(stack.url) as client:
        address = f"{uuid.uuid4().hex}@example.com"
        client.register(address, _PASSWORD)
        client.login(address, _PASSWORD)
        times = [_upload_to_completed_s(client, clip) for _ in range(_CLIPS)]
    console.print(f"  upload to completed: {', '.join(f'{seconds:.2f}' for seconds in times)} s")
    median = statistics.median(times)
    return (
        f"upload to completed, 5 s MP4 of {clip.stat().st_size / 1e6:.1f} MB",
        f"{median:.2f} s",
        f"ffmpeg -vn -q:a 2: {plain:.2f} s",
        f"{median / plain:.1f}",
        "under 1 s",
    )


def make_video(path: Path, *, seconds: int, size_bytes: int, same_channels: bool = False) -> Path:
    """Write an MP4 with moving pictures and stereo AAC of about this length and size."""
    sound_bps = 128_000
    picture_bps = max(size_bytes * 8 // seconds - sound_bps, 64_000)
    part = path.with_suffix(".part.mp4")
    # A little noise, so that there is something to code; how much of it decides the rate control.
    pictures = f"testsrc2=size=640x360:rate=25:duration={min(seconds, 20)},noise=alls=12:allf=t"
    _ffmpeg(
        *("-f", "lavfi", "-i", pictures, "-c:v", "mpeg4", "-b:v", str(picture_bps), "-qmax", "31"),
        *("-maxrate", str(picture_bps), "-bufsize", str(2 * picture_bps), str(part)),
    )
    sound = path.with_suffix(".m4a")
    colors = ("pink", "pink") if same_channels else ("pink", "brown")
    left, right = (f"anoisesrc=color={color}:amplitude=0.3:sample_rate=44100:seed=1" for color in colors)
    _ffmpeg(
        *("-f", "lavfi", "-i", left, "-f", "lavfi", "-i", right, "-filter_complex", "amerge=inputs=2"),
        *("-t", str(seconds), "-c:a", "aac", "-b:a", str(sound_bps), str(sound)),
    )
    _ffmpeg(
        *("-stream_loop", "-1", "-i", str(part), "-i", str(sound)),
        *("-map", "0:v", "-map", "1:a", "-c", "copy", "-t", str(seconds), str(path)),
    )
    return path


def message_to_commit_s(stack: RunningStack, video: Path) -> float:
    """Return the seconds from the message about a stored video to the commit of its MP3."""
    database = connect_mongo(stack.urls.mongodb)
    conversions = MongoConversions(database)
    conversion_id = uuid.uuid4().hex
    with video.open("rb") as source:
        stored = GridFSFiles(database, "videos").put(conversion_id, iter(lambda: source.read(CHUNK_BYTES), b""))
    # The same clock serves all processes of this machine. The event is made just before it is published.
    accepted_at = utc_now()
    uploaded = Event(uuid.uuid4().hex, EventName.VIDEO_UPLOADED, conversion_id, accepted_at)
    conversions.add(_conversion(conversion_id, video.name, stored, accepted_at), [uploaded])
    publish_owed([uploaded], RabbitEvents(stack.urls.amqp), MongoOutbox(database), get_logger("benchmark"))
    while True:
        now = conversions.get(conversion_id)
        if now.state in (State.COMPLETED, State.FAILED):
            break
        if utc_now() - accepted_at > timedelta(minutes=5):
            raise TimeoutError(f"The conversion is still {now.state}.")
        time.sleep(0.05)
    database.client.close()
    assert now.state == State.COMPLETED, now.error
    assert now.completed_at is not None
    return (now.completed_at - accepted_at).total_seconds()


def _conversion(conversion_id: str, filename: str, stored: StoredFile, accepted_at: datetime) -> Conversion:
    return Conversion(
        id=conversion_id,
        owner=Owner("benchmark", "benchmark@example.com"),
        state=State.QUEUED,
        progress=0.0,
        filename=filename,
        options=Options(),
        # As of a video that came in slices: whoever converts it has to find out its SHA-256, too.
        video=Video(bytes=stored.bytes, sha256=None),
        mp3=None,
        error=None,
        attempts=0,
        created_at=accepted_at,
        updated_at=accepted_at,
    )


def plain_ffmpeg_s(video: Path, mp3: Path) -> float:
    """Return the seconds that `ffmpeg -vn -q:a 2` takes."""
    started = time.perf_counter()
    _ffmpeg("-i", str(video), "-vn", "-q:a", "2", str(mp3))
    return time.perf_counter() - started


def _upload_to_completed_s(client: Client, clip: Path) -> float:
    started = time.perf_counter()
    conversion = client.wait(client.upload(clip).id, timeout_s=30)
    assert conversion.mp3 is not None
    return time.perf_counter() - started


def _ffmpeg(*arguments: str) -> None:
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-loglevel", "fatal", "-nostdin", "-y", *arguments]
    subprocess.run(command, check=True, timeout=600)
