"""The service over HTTP, as a person's program uses it."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, Unpack
from urllib.parse import quote

import httpx

from video2mp3.errors import ApiError, TookTooLong, Unreachable
from video2mp3.models import Conversion, Link, Options, State, Tokens, Usage, User
from video2mp3.resumable import SLICE_BYTES, new_key, patiently, send_file

OnBytes = Callable[[int, int], None]
OnConversion = Callable[[Conversion], None]

_POLL_S = (0.1, 1.0)
# For so long a service that is being started again is waited for.
_PATIENCE_S = 30.0
_BUSY = {502, 503, 504}


class Client:
    """One person's session with the service at `base_url`, such as https://host or, on AWS, https://host/stage.

    Not for several threads at once.

    After `login` every call carries the access token. When that has run out, it is refreshed and the call is
    made again, once. Every method raises ApiError when the service refuses, and Unreachable when it does not
    answer.
    """

    def __init__(self, base_url: str, *, timeout_s: float = 30, transport: httpx.BaseTransport | None = None) -> None:
        # On AWS a large file is copied first, and redirects lead to the same address until that is done.
        self._http = httpx.Client(base_url=base_url, timeout=timeout_s, transport=transport, max_redirects=200)
        self._tokens: Tokens | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections. The session itself goes on until its tokens run out."""
        self._http.close()

    def register(self, email: str, password: str) -> User:
        """Make an account. Does not log in."""
        body = {"email": email, "password": password}
        return User.from_json(self._json("POST", "/v1/auth/register", json=body))

    def login(self, email: str, password: str) -> None:
        """Start a session."""
        body = {"email": email, "password": password}
        self._tokens = Tokens.from_json(self._json("POST", "/v1/auth/login", json=body))

    def logout(self) -> None:
        """End the session, here and at the service."""
        self._send("POST", "/v1/auth/logout")
        self._tokens = None

    def me(self) -> User:
        """Return who is logged in."""
        return User.from_json(self._json("GET", "/v1/auth/me"))

    def upload(self, path: Path, *, on_bytes: OnBytes | None = None, **options: Unpack[Options]) -> Conversion:
        """Send a video and return its conversion, which is queued. See Options for what can be chosen.

        The file is sent as it is read, so its size does not matter to memory. After a broken connection, or while the
        service is away for a moment, it is sent again; a large one goes in slices, and goes on where it was. It becomes
        one conversion, however often that happens. `on_bytes` is told how many bytes were sent, and of how many.

        An option with a wrong value raises ApiError, whose `errors` say what is allowed.
        """
        chosen = _as_text(options)
        size = path.stat().st_size
        with path.open("rb") as file:
            if size > SLICE_BYTES:
                about = {"filename": path.name, **chosen}
                tell = on_bytes or (lambda _sent, _size: None)
                conversion_id = send_file(file, size, about, self._send, lambda sent: tell(sent, size))
                # It is accepted: who only fails to hear what became of it must not think that it failed.
                return Conversion.from_json(self._read_json(patiently(lambda: self._send("GET", _path(conversion_id)))))
            headers = new_key()

            def post() -> httpx.Response:
                file.seek(0)
                video = (path.name, _CountedFile(file, size, on_bytes), "application/octet-stream")
                form = {"data": chosen, "files": {"video": video}}
                return self._send("POST", "/v1/conversions", headers=headers, **form)

            return Conversion.from_json(self._read_json(patiently(post)))

    def conversion(self, conversion_id: str) -> Conversion:
        """Return a conversion as it is now."""
        return Conversion.from_json(self._json("GET", _path(conversion_id)))

    def conversions(self, *, state: State | None = None) -> Iterator[Conversion]:
        """Yield this person's conversions, newest first. They are fetched page by page."""
        query = {} if state is None else {"state": str(state)}
        while True:
            page = self._json("GET", "/v1/conversions", params=query)
            yield from map(Conversion.from_json, page["items"])
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def wait(
        self, conversion_id: str, *, on_progress: OnConversion | None = None, timeout_s: float | None = None
    ) -> Conversion:
        """Return a conversion once it has ended: look at its `state`. `on_progress` gets each look at it.

        A service that is away for a moment is waited for. Raises TookTooLong after `timeout_s`.
        """
        started = answered = time.monotonic()
        pause_s, longest_s = _POLL_S
        while True:
            try:
                conversion = self.conversion(conversion_id)
            except (Unreachable, ApiError) as error:
                busy = isinstance(error, Unreachable) or error.status in _BUSY
                if not busy or time.monotonic() - answered > _PATIENCE_S:
                    raise
            else:
                answered = time.monotonic()
                if on_progress is not None:
                    on_progress(conversion)
                if conversion.state.is_end:
                    return conversion
            if timeout_s is not None and time.monotonic() - started > timeout_s:
                raise TookTooLong(f"The conversion has not ended after {timeout_s:.0f} s. It goes on.")
            time.sleep(pause_s)
            pause_s = min(pause_s * 1.5, longest_s)

    def save(self, conversion_id: str, path: Path) -> None:
        """Write the MP3 to `path`, which is overwritten. It is there whole or not at all."""
        self._save(path, f"{_path(conversion_id)}/mp3")

    def save_zip(self, conversion_ids: Sequence[str], path: Path) -> None:
        """Write a ZIP of the MP3s of up to 100 conversions to `path`, which is overwritten.

        It is there whole or not at all. In it, the MP3s are named like their videos.
        """
        self._save(path, "/v1/conversions/zip", params={"ids": ",".join(conversion_ids)})

    def delete(self, conversion_id: str) -> None:
        """Delete a conversion and its files. If it is running, it is cancelled."""
        self._send("DELETE", _path(conversion_id))

    def retry(self, conversion_id: str) -> Conversion:
        """Try a failed conversion again."""
        return Conversion.from_json(self._json("POST", f"{_path(conversion_id)}/retry"))

    def link(self, conversion_id: str, *, ttl_s: int) -> Link:
        """Return a link to the MP3 that works for `ttl_s` seconds without logging in."""
        return Link.from_json(self._json("POST", f"{_path(conversion_id)}/link", json={"ttl_seconds": ttl_s}))

    def zip_link(self, conversion_ids: Sequence[str], *, ttl_s: int) -> Link:
        """Return a link to a ZIP of the MP3s of up to 100 conversions, which works like that to one MP3."""
        body = {"ids": [*conversion_ids], "ttl_seconds": ttl_s}
        return Link.from_json(self._json("POST", "/v1/conversions/zip/link", json=body))

    def usage(self) -> Usage:
        """Return how much this person stores, and the limits."""
        return Usage.from_json(self._json("GET", "/v1/usage"))

    def _save(self, path: Path, source: str, **content: Any) -> None:
        unfinished = path.with_name(f"{path.name}.part")
        try:
            with self._open("GET", source, **content) as response, unfinished.open("wb") as file:
                for part in response.iter_bytes():
                    file.write(part)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def _json(self, method: str, path: str, **content: Any) -> Any:
        return self._read_json(self._send(method, path, **content))

    def _read_json(self, response: httpx.Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise Unreachable(f"{self._http.base_url} answers, but not as video2mp3 does.") from error

    def _send(self, method: str, path: str, **content: Any) -> httpx.Response:
        with self._open(method, path, **content) as response:
            response.read()
            return response

    @contextlib.contextmanager
    def _open(self, method: str, path: str, **content: Any) -> Iterator[httpx.Response]:
        """Yield the answer when it has begun; its body is still to be read. Raises ApiError and Unreachable."""
        try:
            response = self._request(method, path, **content)
            if response.status_code == httpx.codes.UNAUTHORIZED and self._tokens is not None:
                response.close()
                self._refresh(self._tokens)
                response = self._request(method, path, **content)
            with contextlib.closing(response):
                if response.is_error:
                    response.read()
                    raise ApiError.from_response(response)
                yield response
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise Unreachable(f"{self._http.base_url} does not answer: {error}") from error

    def _refresh(self, tokens: Tokens) -> None:
        """Get the next pair of tokens. If it is refused, the session is over."""
        self._tokens = None
        try:
            body = self._json("POST", "/v1/auth/refresh", json={"refresh_token": tokens.refresh})
        except Unreachable:
            self._tokens = tokens
            raise
        except ApiError as error:
            if error.status in _BUSY:
                self._tokens = tokens
            raise
        self._tokens = Tokens.from_json(body)

    def _request(
        self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **content: Any
    ) -> httpx.Response:
        headers = dict(headers or {})
        if self._tokens is not None:
            headers["Authorization"] = f"Bearer {self._tokens.access}"
        request = self._http.build_request(method, path, headers=headers, **content)
        # A large MP3 may be kept elsewhere. httpx tells no other host the access token.
        return self._http.send(request, stream=True, follow_redirects=method == "GET")


class _CountedFile:
    """A file that tells how much of it was read. httpx asks for its length through seek and tell."""

    def __init__(self, file: BinaryIO, size: int, on_bytes: OnBytes | None) -> None:
        self._file = file
        self._size = size
        self._on_bytes = on_bytes

    def read(self, size: int = -1) -> bytes:
        part = self._file.read(size)
        if self._on_bytes is not None:
            self._on_bytes(self._file.tell(), self._size)
        return part

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


def _as_text(options: Options) -> dict[str, str]:
    """Return options as forms and tus metadata have them. Raises TypeError for one that does not exist."""
    if unknown := options.keys() - Options.__annotations__.keys():
        raise TypeError(f"upload() has no option {', '.join(sorted(unknown))}")
    # str() writes a small float with an exponent, which the service does not read.
    return {name: f"{value:f}" if isinstance(value, float) else str(value) for name, value in options.items()}


def _path(conversion_id: str) -> str:
    return f"/v1/conversions/{quote(conversion_id, safe='')}"
