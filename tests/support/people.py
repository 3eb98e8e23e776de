"""Who comes to the site over HTTP."""

import http.client
import re
import socket
import ssl
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Voter:
    """A browser without JavaScript: cookies, pages and forms."""

    base: str
    cookies: dict[str, str] = field(default_factory=dict)
    token: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    # All of 127.0.0.0/8 is this machine: two addresses are two networks.
    address: str = "127.0.0.1"

    def request(
        self, method: str, path: str, body: bytes = b"", **headers: str
    ) -> Answer:
        connection = self._connection()
        headers |= self.headers
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        try:
            # A server may refuse a body before all of it has come: what it answers is there to be read.
            with suppress(BrokenPipeError):
                connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        for cookie in response.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return Answer(response.status, response.headers, text)

    def _connection(self) -> http.client.HTTPConnection:
        url = urllib.parse.urlsplit(self.base)
        if url.scheme == "http":
            return http.client.HTTPConnection(url.netloc, timeout=40)
        # The certificate is made by the test.
        context = ssl._create_unverified_context()
        own = (self.address, 0)
        return http.client.HTTPSConnection(
            url.netloc, timeout=40, context=context, source_address=own
        )

    def get(self, path: str) -> Answer:
        return self.request("GET", path)

    @contextmanager
    def watching(self, path: str) -> Iterator[Iterator[str]]:
        """Open a live stream; yield the data of its events as they come."""
        connection = self._connection()
        connection.request("GET", path, headers=self.headers)
        lines = iter(connection.getresponse().readline, b"")
        try:
            yield (line[6:].decode() for line in lines if line.startswith(b"data: {"))
        finally:
            connection.close()

    def open_ballot(self, question: int = 1) -> list[str]:
        """Load the ballot page and return the ids of its choices."""
        return self.read_form(self.open_form(question))

    def open_form(self, question: int = 1) -> str:
        """Load the ballot page, keep its security token, and return its text."""
        page = self.get(f"/polls/{question}/").text
        self.read_form(page)
        return page

    def read_form(self, page: str) -> list[str]:
        """Keep the security token of a ballot page, and return the ids of its choices."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page)
        self.token = token.group(1) if token else ""
        return re.findall(r'name="choice"[^>]* value="(\d+)"', page)

    def press(self, page: str) -> Answer:
        """Send the form in the middle of this page as it stands, all of whose fields are hidden."""
        form = page.split("<main")[1].split("</main>")[0]
        (path,) = re.findall(r'<form action="([^"]+)"', form)
        hidden = r'<input type="hidden" name="([^"]+)" value="([^"]*)"'
        body = urllib.parse.urlencode(re.findall(hidden, form))
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request("POST", path, body.encode(), **kind)

    def vote(self, choice: str, question: int = 1) -> Answer:
        return self.post(f"/polls/{question}/vote/", choice=choice)

    def open_and_vote(self, question: int = 1, choice: int = 0) -> Answer:
        """Vote for the choice that stands there on the ballot page, counted from 0."""
        return self.vote(self.open_ballot(question)[choice], question)

    def post(self, path: str, **fields: str) -> Answer:
        fields |= {"csrfmiddlewaretoken": self.token}
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.request(
            "POST", path, urllib.parse.urlencode(fields).encode(), **kind
        )

    def send(
        self, path: str, body: bytes, *headers: str, goes_then: bool = False
    ) -> str:
        """Post this body as it stands, and return all that the server says."""
        head = [f"POST {path} HTTP/1.1", "Host: localhost", "Connection: close"]
        head.append(f"Cookie: {'; '.join(f'{k}={v}' for k, v in self.cookies.items())}")
        head += ["Content-Type: application/x-www-form-urlencoded", *headers]
        host, port = self.base.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=40) as connection:
            connection.sendall("\r\n".join([*head, "", ""]).encode() + body)
            if goes_then:
                connection.shutdown(socket.SHUT_WR)
            with connection.makefile("rb") as answer:
                return answer.read().decode()

    def open_log_in(self) -> None:
        page = self.get("/accounts/login/").text
        (self.token,) = re.findall(r'value="(\w{64})"', page)

    def log_in(self, name: str, password: str) -> "Voter":
        self.open_log_in()
        answer = self.post("/accounts/login/", username=name, password=password)
        assert answer.status == 302, answer.text
        return self
