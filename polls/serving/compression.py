"""Answers compressed with gzip, and which ones are not.

What everybody gets alike is compressed: pages in memory, tallies as data and pictures, static files. A page for whoever
has a cookie may mark that voter's own choice, and the length of a compressed page could tell which one to whoever
watches the line. It goes as it is.

Of a page that everybody gets, what is another for each visitor (a token) stands in a block of its own that is not
compressed. So a page is compressed once for all; and no guess that a stranger has put into it makes it shorter where it
meets a secret (BREACH).
"""

import re
import struct
import zlib
from collections.abc import Mapping
from functools import cached_property

from django.http import HttpRequest, HttpResponse
from django.utils.cache import patch_vary_headers

# Under this, a compressed answer takes as many packets.
LEAST = 1000
# HTML is not among them: it may be one person's own.
TALLIES = ("application/json", "image/svg+xml", "text/csv")
COMPRESSIBLE = ("text/", "application/json", "image/svg+xml")

# RFC 1952: deflated, without a name or a time.
_HEAD = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
# RFC 1951: what a stored block holds at most.
_MOST_STORED = 0xFFFF
_REFUSES = re.compile(r"\bgzip\s*;\s*q=0(\.0*)?\s*(,|$)")


def accepts_gzip(request: HttpRequest) -> bool:
    accepted = request.META.get("HTTP_ACCEPT_ENCODING", "")
    return "gzip" in accepted and not _REFUSES.search(accepted)


class Body:
    """What is sent of a page: as it is, or compressed.

    `own` is what stands in it for one visitor; for each other one, something else takes its place.
    """

    def __init__(self, content: bytes, own: bytes = b"") -> None:
        self._pieces = content.split(own) if own else [content]

    def plain(self, own: bytes = b"") -> bytes:
        return own.join(self._pieces)

    def gzipped(self, own: bytes = b"") -> bytes:
        plain = self.plain(own)
        end = struct.pack("<LL", zlib.crc32(plain), len(plain) & 0xFFFFFFFF)
        return _HEAD + _stored(own).join(self._deflated) + end

    @cached_property
    def _deflated(self) -> list[bytes]:
        """The pieces, each compressed for itself; a block begins after each, and the last one ends the stream."""
        *others, last = self._pieces
        return [*(_deflate(piece, zlib.Z_SYNC_FLUSH) for piece in others)] + [
            _deflate(last, zlib.Z_FINISH)
        ]


def _deflate(piece: bytes, flush: int) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return compressor.compress(piece) + compressor.flush(flush)


def _stored(own: bytes) -> bytes:
    length = len(own)
    assert length <= _MOST_STORED
    return struct.pack("<BHH", 0, length, _MOST_STORED - length) + own


def is_compressible(response: HttpResponse, kinds: tuple[str, ...]) -> bool:
    return (
        response.status_code == 200
        and response.get("Content-Type", "").startswith(kinds)
        and not response.has_header("Content-Encoding")
        and len(response.content) >= LEAST
    )


def gzip_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of the compressed answer: its ETag is weak, for the bytes are others, and the length is not known yet."""
    kept = {name: text for name, text in headers.items() if name != "Content-Length"}
    etag = kept.get("ETag", "")
    if etag.startswith('"'):
        kept["ETag"] = f"W/{etag}"
    return kept | {"Content-Encoding": "gzip"}


def compress_tally(request: HttpRequest, response: HttpResponse) -> None:
    """Compress an answer that is not kept in memory, if it is the same for everybody who may see it."""
    if request.method not in {"GET", "HEAD"} or not is_compressible(response, TALLIES):
        return
    patch_vary_headers(response, ["Accept-Encoding"])
    if accepts_gzip(request):
        response.content = Body(response.content).gzipped()
        for name, text in gzip_headers(dict(response.items())).items():
            response[name] = text
        response["Content-Length"] = str(len(response.content))
