"""QR codes of links, as SVG paths."""

import re
from typing import NamedTuple

import segno

# The quiet zone around the code, in squares: scanners find no code without it.
BORDER = 4


class QrCode(NamedTuple):
    """The strokes of this path are the dark squares; the picture is `size` squares wide, its border included."""

    path: str
    size: int


def draw(link: str) -> QrCode:
    return _strokes("".join(map(_bits, segno.make_qr(link, error="m").matrix)))


def _bits(squares: bytearray) -> str:
    return squares.translate(b"01" + bytes(254)).decode()


def _strokes(squares: str) -> QrCode:
    """Draw the squares, given row by row: 1 is dark."""
    width = int(len(squares) ** 0.5)
    rows = (squares[start : start + width] for start in range(0, len(squares), width))
    path = "".join(
        f"M{dark.start() + BORDER} {y}.5h{dark.end() - dark.start()}"
        for y, row in enumerate(rows, BORDER)
        for dark in re.finditer("1+", row)
    )
    return QrCode(path, width + 2 * BORDER)


class QrSeries:
    """Draws the QR codes of links that differ in one word of a fixed length alone.

    As long as version and mask are the same, a QR code is linear: a bit of the
    text flips the same squares whatever the rest of the text is. So the squares
    of each bit are found once, with segno, and 10,000 codes take a second
    instead of a minute.
    """

    def __init__(self, link: str, length: int) -> None:
        """`link` has an @ where the word of this length goes."""
        self._before, self._after = link.split("@")
        self._zeros = "0" * length
        self._base = self._squares(self._zeros)
        self._flips = [[self._flip(n, bit) for bit in range(7)] for n in range(length)]

    def draw(self, word: str) -> QrCode:
        squares = self._base
        for character, flips in zip(word, self._flips, strict=True):
            for bit in range(7):
                if (ord(character) ^ ord("0")) >> bit & 1:
                    squares ^= flips[bit]
        return _strokes(f"{squares:0{self._number}b}")

    def _squares(self, word: str) -> int:
        """Return the squares as the bits of one number."""
        link = f"{self._before}{word}{self._after}"
        qr = segno.make_qr(link, error="m", boost_error=False, mask=3)
        bits = "".join(map(_bits, qr.matrix))
        self._number = len(bits)
        return int(bits, 2)

    def _flip(self, n: int, bit: int) -> int:
        other = chr(ord("0") ^ 1 << bit)
        word = self._zeros[:n] + other + self._zeros[n + 1 :]
        return self._base ^ self._squares(word)
