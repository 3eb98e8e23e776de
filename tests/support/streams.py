"""A viewer of a live stream, over a bare socket."""

import codecs
import contextlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Stream:
    """One open stream; what came stays in `text`."""

    base: str
    question: int
    last_event_id: str = ""
    query: str = ""
    receive_buffer: int = 0
    cookies: dict[str, str] = field(default_factory=dict)
    text: str = ""
    ended: bool = False
    connection: socket.socket = field(init=False)
    # A character may come in two parts.
    decoder: codecs.IncrementalDecoder = field(
        default_factory=codecs.getincrementaldecoder("utf-8")
    )

    def __post_init__(self) -> None:
        host, port = self.base.removeprefix("http://").split(":")
        self.connection = socket.socket()
        if self.receive_buffer:
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer
            )
        self.connection.settimeout(10)
        self.connection.connect((host, int(port)))
        head = [
            f"GET /polls/{self.question}/live/{self.query} HTTP/1.1",
            "Host: localhost",
        ]
        if self.last_event_id:
            head.append(f"Last-Event-ID: {self.last_event_id}")
        if self.cookies:
            pairs = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
            head.append(f"Cookie: {pairs}")
        self.connection.sendall(("\r\n".join(head) + "\r\n\r\n").encode())

    def _receive(self, seconds: float) -> None:
        self.connection.settimeout(max(0.001, seconds))
        with contextlib.suppress(TimeoutError):
            data = self.connection.recv(65536)
            self.text += self.decoder.decode(data)
            self.ended = not data or self.text.endswith("\r\n0\r\n\r\n")

    def read(self, seconds: float = 0.6) -> "Stream":
        """Take what comes in this time, or until the stream ends."""
        deadline = time.monotonic() + seconds
        while not self.ended and (left := deadline - time.monotonic()) > 0:
            self._receive(left)
        return self

    def wait_for(self, words: str, seconds: float = 10) -> "Stream":
        deadline = time.monotonic() + seconds
        while words not in self.text and not self.ended:
            if (left := deadline - time.monotonic()) <= 0:
                break
            self._receive(left)
        assert words in self.text, self.text
        return self

    @property
    def status(self) -> int:
        return int(self.text.split(" ", 2)[1])

    def fields(self, name: str) -> list[str]:
        start = f"{name}: "
        lines = self.text.splitlines()
        return [line.removeprefix(start) for line in lines if line.startswith(start)]

    @property
    def tallies(self) -> list[dict[str, Any]]:
        answers = [json.loads(data) for data in self.fields("data")]
        return [answer for answer in answers if "ballots" in answer]

    def close(self) -> None:
        self.connection.close()

    # A test that fails or forgets leaves no socket behind.
    __del__ = close


@contextlib.contextmanager
def many(number: int, base: str, question: int) -> Iterator[list[Stream]]:
    streams = [Stream(base, question) for _ in range(number)]
    yield streams
    for stream in streams:
        stream.close()
