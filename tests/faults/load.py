"""People who upload all the time, as good clients do: they bear that the service is away, and note what it said."""

import contextlib
import hashlib
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.faults.checker import Accepted
from tests.media import Media
from video2mp3 import ApiError, Client, Conversion, State, Unreachable
from video2mp3.resumable import SLICE_BYTES, send_file

T = TypeVar("T")

# What the service may say to anybody while it is not well, and what it may say to an upload, too.
_BUSY = {429, 502, 503, 504}
_PASSING = {408, 409, 423, *_BUSY}
# For so long people try again.
_PATIENCE_S = 120.0
# Nobody leaves more than this behind, or the service could not keep up with them.
_OPEN = 3


@dataclass(frozen=True)
class Clip:
    """A video. `seconds` is how long its MP3 lasts. `failures` are what it may fail with; with some it has no MP3."""

    name: str
    path: Path
    seconds: float | None
    failures: frozenset[str] = frozenset()

    def sha256(self) -> str:
        """Return the digest of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


def make_clips(media: Media, folder: Path) -> list[Clip]:
    """Return videos of several kinds: short ones, long ones over 4 MiB, and some that can only fail."""
    short = {"mp4 moov last": 2, "mp4 fragmented": 4, "webm opus": 2, "avi": 3, "3gp": 5, "flv": 10}
    long = {"mov": 40, "mkv": 150}
    good = [Clip(name, media.video(name, seconds), seconds) for name, seconds in (short | long).items()]
    whole = media.video("mp4 moov first", 20).read_bytes()
    cut = folder / "cut.mp4"
    cut.write_bytes(whole[: len(whole) * 6 // 10])
    bad = [
        Clip("no sound", media.video("no sound", 2), None, frozenset({"no-audio-track"})),
        Clip("noise", media.mostly_noise(), None, frozenset({"corrupt-media"})),
        Clip("cut off", cut, None, frozenset({"truncated-media"})),
    ]
    return [*good, *bad]


class Surprise(Exception):
    """Raised when the service says what it may never say."""


@dataclass
class Diary:
    """What one person did, and what they were told."""

    accepted: list[Accepted] = field(default_factory=list)
    videos: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    # What was given up without an answer. It may have been accepted or not.
    given_up: int = 0
    downloads: int = 0
    surprises: list[str] = field(default_factory=list)


class Person:
    """Uploads one video after the other until told to stop. All choices come from `rng`."""

    def __init__(self, client: Client, clips: list[Clip], folder: Path, rng: random.Random) -> None:
        self.diary = Diary()
        self._client = client
        self._clips = clips
        self._digests = {clip.name: clip.sha256() for clip in clips}
        self._folder = folder
        self._rng = rng
        self._stopping = threading.Event()
        self._open: list[tuple[Accepted, Clip]] = []
        self._thread = threading.Thread(target=self._run, name=folder.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing more."""
        self._stopping.set()

    def join(self) -> None:
        """Return when what was begun is done."""
        self._thread.join(2 * _PATIENCE_S)
        assert not self._thread.is_alive(), f"{self._thread.name} hangs"

    def _run(self) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            clip = self._rng.choice(self._clips)
            path = self._folder / f"{self._folder.name}-{number:04}{clip.path.suffix}"
            path.symlink_to(clip.path)
            try:
                self._upload(path, clip)
            except Unreachable:
                self.diary.given_up += 1
            except ApiError as error:
                # Also one that was busy for as long as we waited.
                self.diary.given_up += 1
                if error.status not in _PASSING:
                    self.diary.surprises.append(f"{path.name}: {error.status} {error}")
            except Surprise as surprise:
                self.diary.surprises.append(f"{path.name}: {surprise}")

    def _upload(self, path: Path, clip: Clip) -> None:
        way, upload = self._way(path)
        conversion_id = upload(path)
        accepted = Accepted(
            conversion_id, path.name, self._digests[clip.name], clip.seconds, clip.failures, deleted=False
        )
        self.diary.accepted.append(accepted)
        self.diary.videos[clip.name] += 1
        self.diary.ways[way] += 1
        self._go_on(accepted, clip)

    def _way(self, path: Path) -> tuple[str, Callable[[Path], str]]:
        if path.stat().st_size > SLICE_BYTES:
            return "in slices", self._by_client
        return ("by tus", self._by_tus) if self._rng.random() < 0.5 else ("by form", self._by_client)

    def _by_client(self, path: Path) -> str:
        return self._client.upload(path).id

    def _by_tus(self, path: Path) -> str:
        size = path.stat().st_size
        with path.open("rb") as file:
            return send_file(file, size, {"filename": path.name}, self._client._send, lambda _: None)

    def _go_on(self, accepted: Accepted, clip: Clip) -> None:
        choice = self._rng.random()
        if choice < 0.1:
            self._stopping.wait(self._rng.uniform(0, 1))
            self._delete(accepted)
        elif choice < 0.4:
            self._open.append((accepted, clip))
            if len(self._open) > _OPEN:
                self._see_to_the_end(*self._open.pop(0))
        else:
            self._see_to_the_end(accepted, clip)

    def _see_to_the_end(self, accepted: Accepted, clip: Clip) -> None:
        conversion = self._wait(accepted)
        if conversion is None:
            return
        if conversion.state is State.COMPLETED:
            if self._rng.random() < 0.6:
                self._download(conversion)
            if self._rng.random() < 0.2:
                self._delete(accepted)
        elif not clip.failures or self._rng.random() < 0.3:
            self._retry(accepted)
            self._wait(accepted)

    def _wait(self, accepted: Accepted) -> Conversion | None:
        """Return the conversion at its end, or None if we stop before."""
        while not self._stopping.is_set():
            conversion = self._patiently(lambda: self._client.conversion(accepted.id))
            if conversion.state.is_end:
                return conversion
            self._stopping.wait(0.3)
        return None

    def _download(self, conversion: Conversion) -> None:
        assert conversion.mp3 is not None
        mp3 = self._folder / f"{conversion.filename}.mp3"
        self._patiently(lambda: self._client.save(conversion.id, mp3))
        content = mp3.read_bytes()
        mp3.unlink()
        self.diary.downloads += 1
        if hashlib.sha256(content).hexdigest() != conversion.mp3.sha256:
            raise Surprise(f"{len(content)} other bytes than those of the MP3 of {conversion.id}")

    def _delete(self, accepted: Accepted) -> None:
        accepted.deleted = None
        tries = 0

        def delete() -> None:
            nonlocal tries
            tries += 1
            try:
                self._client.delete(accepted.id)
            except ApiError as error:
                # An answer that was lost may have been the one that it is done.
                if error.status != 404 or tries == 1:
                    raise

        self._patiently(delete)
        accepted.deleted = True

    def _retry(self, accepted: Accepted) -> None:
        def retry() -> None:
            accepted.retries += 1
            try:
                self._client.retry(accepted.id)
            except ApiError as error:
                if error.code != "not-failed" or accepted.retries == 1:
                    raise

        self._patiently(retry)

    def _patiently(self, call: Callable[[], T]) -> T:
        began_at = time.monotonic()
        while True:
            try:
                return call()
            except (Unreachable, ApiError) as error:
                is_busy = isinstance(error, Unreachable) or error.status in _BUSY
                if not is_busy or time.monotonic() - began_at > _PATIENCE_S:
                    raise
            time.sleep(0.3)


@contextlib.contextmanager
def load(url: str, clips: list[Clip], folder: Path, *, people: int, seed: int) -> Iterator["Load"]:
    """Let people upload inside the block. They are registered before it begins."""
    clients = [Client(url) for _ in range(people)]
    try:
        running = Load([_person(number, client, clips, folder, seed) for number, client in enumerate(clients)])
        try:
            yield running
        finally:
            running.stop()
    finally:
        for client in clients:
            client.close()


class Load:
    """People who upload at the same time."""

    def __init__(self, people: list[Person]) -> None:
        self._people = people

    def stop(self) -> None:
        """Let everybody finish the request that is under way, and return when they have."""
        for person in self._people:
            person.stop()
        for person in self._people:
            person.join()

    @property
    def accepted(self) -> list[Accepted]:
        """What was acknowledged so far."""
        return [each for person in self._people for each in person.diary.accepted]

    @property
    def diary(self) -> Diary:
        """What all of them did."""
        whole = Diary()
        for each in [person.diary for person in self._people]:
            whole.accepted += each.accepted
            whole.videos += each.videos
            whole.ways += each.ways
            whole.given_up += each.given_up
            whole.downloads += each.downloads
            whole.surprises += each.surprises
        return whole


def _person(number: int, client: Client, clips: list[Clip], folder: Path, seed: int) -> Person:
    own = folder / f"person-{number}"
    own.mkdir()
    address, password = f"{secrets.token_hex(6)}@example.com", "correct horse battery"
    client.register(address, password)
    client.login(address, password)
    return Person(client, clips, own, random.Random(f"{seed} {number}"))
