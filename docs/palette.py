"""A picture of a page as a small PNG, of 256 colours at most: text on plain ground has few others."""

import base64
import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence

from playwright.sync_api import Page

Colour = tuple[int, int, int]

# The square of a distance between colours that nobody sees.
ALIKE = 40

# The browser knows how to read a PNG.
PIXELS = """async (data) => {
  const blob = await (await fetch(`data:image/png;base64,${data}`)).blob();
  const image = await createImageBitmap(blob);
  const canvas = new OffscreenCanvas(image.width, image.height).getContext("2d");
  canvas.drawImage(image, 0, 0);
  let text = "";
  for (const byte of canvas.getImageData(0, 0, image.width, image.height).data) text += String.fromCharCode(byte);
  return [image.width, btoa(text)];
}"""


def reduced(page: Page, png: bytes) -> bytes:
    """Return the same picture with 256 colours; `page` is of a browser, and is not looked at."""
    width, text = page.evaluate(PIXELS, base64.b64encode(png).decode())
    pixels = memoryview(base64.b64decode(text)).cast("I")
    common = [colour for colour, _ in Counter(pixels).most_common()]
    palette = _palette(map(_channels, common))
    places = {colour: _nearest(_channels(colour), palette)[1] for colour in common}
    return _png(width, palette, bytes(map(places.__getitem__, pixels)))


def _palette(common: Iterable[Colour]) -> list[Colour]:
    """Choose colours that can be told apart, the most common first: a green dot is small, and not to be grey."""
    palette: list[Colour] = []
    for colour in common:
        if not palette or _nearest(colour, palette)[0] > ALIKE:
            palette.append(colour)
        if len(palette) == 256:
            break
    return palette


def _channels(colour: int) -> Colour:
    return colour & 255, colour >> 8 & 255, colour >> 16 & 255


def _nearest(colour: Colour, palette: Sequence[Colour]) -> tuple[int, int]:
    """Return how far it is to the nearest colour, and which one that is."""
    red, green, blue = colour
    return min(
        ((r - red) ** 2 + (g - green) ** 2 + (b - blue) ** 2, n)
        for n, (r, g, b) in enumerate(palette)
    )


def _png(width: int, palette: Sequence[Colour], pixels: bytes) -> bytes:
    rows = [pixels[n : n + width] for n in range(0, len(pixels), width)]
    head = struct.pack(">IIBBBBB", width, len(rows), 8, 3, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    parts = [
        (b"IHDR", head),
        (b"PLTE", b"".join(map(bytes, palette))),
        (b"IDAT", data),
        (b"IEND", b""),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*part) for part in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)
