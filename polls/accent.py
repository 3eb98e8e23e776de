"""The accent colour: what an operator names is made as dark, or on dark pages as light, as it must be to be read.

Lightness is moved in OKLCH, where it is what the eye calls so; the hue stays.
"""

import math
from typing import NamedTuple

Colour = tuple[float, float, float]

DEFAULT = "#2f3fcf"
# Text and controls under WCAG 2.2 AA need 4.5 to 1 and 3 to 1; a little more, for what rounding takes.
READABLE = 4.6


class Scheme(NamedTuple):
    """What static/polls/style.css writes on in the accent, and with in it; how much of it --tint has."""

    paper: str
    card: str
    on: str
    tint: float


LIGHT = Scheme("#f6f3ec", "#fffdf9", "#fff", 0.07)
DARK = Scheme("#151311", "#1e1b18", "#14120f", 0.1)


def stylesheet(accent: str) -> str:
    """Return the rules that change the site's colour; paper and forced colours have their own."""
    light, dark = fills(accent)
    return (
        f"@media screen and (forced-colors:none){{:root{{--fill:{light}}}}}"
        f"@media screen and (forced-colors:none) and (prefers-color-scheme:dark){{:root{{--fill:{dark}}}}}\n"
    )


def admin_rules(accent: str) -> str:
    """Return the rule that changes the colour of the admin, where light and dark are Django's to say."""
    light, dark = fills(accent)
    return f"html[data-theme],:root{{--fill:light-dark({light},{dark})}}\n"


def fills(accent: str) -> tuple[str, str]:
    """Return the accent for light pages and for dark ones."""
    lightness, chroma, hue = _to_oklch(accent)
    light = _readable(min(lightness, 0.6), chroma, hue, -0.005, LIGHT)
    dark = _readable(max(lightness, 0.77), min(chroma, 0.12), hue, 0.005, DARK)
    # What can be read as it was named stays as it is.
    return (accent if _is_readable(accent, LIGHT) else light), dark


def _readable(
    lightness: float, chroma: float, hue: float, step: float, scheme: Scheme
) -> str:
    while 0 < lightness < 1:
        colour = _to_hex(lightness, chroma, hue)
        if _is_readable(colour, scheme):
            return colour
        lightness += step
    # Every hue has a shade that can be read; this is for a rounding that nobody has met.
    return "#000000" if step < 0 else "#ffffff"


def _is_readable(colour: str, scheme: Scheme) -> bool:
    tint = mix(colour, scheme.card, scheme.tint)
    grounds = (scheme.paper, scheme.card, scheme.on, tint)
    return all(contrast(colour, ground) >= READABLE for ground in grounds)


def contrast(one: str, other: str) -> float:
    """Return WCAG's contrast of two colours, from 1 to 21."""
    brighter, darker = sorted(map(_luminance, (one, other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def mix(colour: str, ground: str, share: float) -> str:
    """Return what CSS calls color-mix(in oklab, colour share, ground)."""
    pairs = zip(_to_oklab(colour), _to_oklab(ground))
    lightness, a, b = (share * x + (1 - share) * y for x, y in pairs)
    return _hex(_to_rgb(lightness, a, b))


def _channels(colour: str) -> Colour:
    digits = colour.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(2 * digit for digit in digits)
    red, green, blue = (int(digits[n : n + 2], 16) / 255 for n in (0, 2, 4))
    return red, green, blue


def _linear(colour: str) -> Colour:
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
        for c in _channels(colour)
    )
    return red, green, blue


def _luminance(colour: str) -> float:
    red, green, blue = _linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# The matrices of Björn Ottosson's Oklab, as CSS Color 4 has them.


def _to_oklab(colour: str) -> Colour:
    r, g, b = _linear(colour)
    long = math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
    medium = math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
    short = math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _to_rgb(lightness: float, a: float, b: float) -> Colour:
    """Return linear red, green and blue: beyond 0 and 1 for what no screen shows."""
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )


def _to_oklch(colour: str) -> Colour:
    lightness, a, b = _to_oklab(colour)
    return lightness, math.hypot(a, b), math.atan2(b, a)


def _to_hex(lightness: float, chroma: float, hue: float) -> str:
    """Return the nearest colour that a screen can show: with less chroma if need be."""
    while True:
        rgb = _to_rgb(lightness, chroma * math.cos(hue), chroma * math.sin(hue))
        if chroma <= 0 or all(-0.001 <= channel <= 1.001 for channel in rgb):
            return _hex(rgb)
        chroma -= 0.002


def _hex(rgb: Colour) -> str:
    clipped = (min(max(channel, 0), 1) for channel in rgb)
    encoded = (
        12.92 * c if c <= 0.0031308 else 1.055 * c ** (1 / 2.4) - 0.055 for c in clipped
    )
    return "#" + "".join(f"{round(255 * channel):02x}" for channel in encoded)
