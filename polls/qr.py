"""QR codes of links, as SVG paths."""

import re

import segno


class QrSeries:
    """Draws the QR codes of a question's links, which differ in their invitation code alone.

    While version and mask stay the same, a QR code is linear: a bit of the text
    turns over the same squares whatever the rest of the text is. So the squares
    of each bit are found once, with segno, and 10,000 codes take a second
    instead of a minute.
    """

    def __init__(self, link: str, length: int) -> None:
        """`link` has an @ where the code of this length goes."""
        self._before, self._after = link.split("@")
        self._zero = "0" * length
        self.size = 0
        self._base = self._squares(self._zero)
        self._bits = [[self._turned(n, bit) for bit in range(7)] for n in range(length)]

    def _squares(self, code: str) -> int:
        """Return the squares as the bits of one number, dark ones 1, row by row."""
        link = f"{self._before}{code}{self._after}"
        # Large enough for the longest link, and read by a phone when a corner of the slip is dirty.
        qr = segno.make_qr(link, error="m", boost_error=False, mask=3)
        self.size = len(qr.matrix)
        return int(b"".join(qr.matrix).translate(b"01" + bytes(254)), 2)

    def _turned(self, n: int, bit: int) -> int:
        other = chr(ord("0") ^ 1 << bit)
        return self._base ^ self._squares(self._zero[:n] + other + self._zero[n + 1 :])

    def path(self, code: str) -> str:
        """Return an SVG path whose strokes are the dark squares, with room for the quiet zone."""
        squares = self._base
        for character, turned in zip(code, self._bits, strict=True):
            for bit in range(7):
                if (ord(character) ^ ord("0")) >> bit & 1:
                    squares ^= turned[bit]
        bits = f"{squares:0{self.size**2}b}"
        rows = (bits[y : y + self.size] for y in range(0, len(bits), self.size))
        return "".join(
            f"M{dark.start() + 4} {y}.5h{dark.end() - dark.start()}"
            for y, row in enumerate(rows, 4)
            for dark in re.finditer("1+", row)
        )
