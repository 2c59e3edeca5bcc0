"""The client of video2mp3, a service that turns videos into MP3s.

with Client("http://127.0.0.1:8080") as client:
    client.login("you@example.org", "your password")
    conversion = client.wait(client.upload(Path("movie.mp4")).id)
    client.save(conversion.id, Path("movie.mp3"))
"""

from video2mp3.client import Client
from video2mp3.errors import ApiError, ClientError, FieldError, TookTooLong, Unreachable
from video2mp3.models import (
    Conversion,
    Failure,
    Link,
    Mp3,
    Note,
    Options,
    Quality,
    Source,
    State,
    Track,
    Usage,
    User,
    Video,
)

__all__ = [
    "ApiError",
    "Client",
    "ClientError",
    "Conversion",
    "Failure",
    "FieldError",
    "Link",
    "Mp3",
    "Note",
    "Options",
    "Quality",
    "Source",
    "State",
    "TookTooLong",
    "Track",
    "Unreachable",
    "Usage",
    "User",
    "Video",
]
