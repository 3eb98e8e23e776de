"""How wide a text will be in a picture, whose fonts are the reader's: rather too wide than too narrow."""

import re
import unicodedata
from collections.abc import Iterator

# In parts of the font size, as wide fonts have them.
_NARROW = dict.fromkeys("ijl.,:;!|'’‘()[]ftI ", 0.38)
_BROAD = dict.fromkeys("mwMWQ@%—…", 0.98)
_WIDTHS = _NARROW | _BROAD
_UPPER, _OTHER, _FULL = 0.74, 0.63, 1.05

# Between signs of Chinese and Japanese a line may end anywhere.
_PART = re.compile(
    r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]|\s+|[^\s\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]+"
)


def text_width(text: str) -> float:
    """Return the width in parts of the font size."""
    return sum(map(_width, text))


def _width(letter: str) -> float:
    if letter in _WIDTHS:
        return _WIDTHS[letter]
    if _joins(letter):
        return 0
    if unicodedata.east_asian_width(letter) in "WF":
        return _FULL
    return _UPPER if letter.isupper() else _OTHER


def _joins(letter: str) -> bool:
    """Tell whether it is drawn onto the letter before it."""
    return unicodedata.category(letter) in {"Mn", "Me", "Cf"}


def wrap(text: str, most: float) -> list[str]:
    """Break a text into lines of at most this width; a word is broken only where it is longer than a line."""
    lines, line, width = [], "", 0.0
    for part in _parts(text, most):
        added = text_width(part)
        if line and width + added > most and not part.isspace():
            lines.append(line.rstrip())
            line, width = "", 0.0
        if line or not part.isspace():
            line, width = line + part, width + added
    return [*lines, line.rstrip()]


def _parts(text: str, most: float) -> Iterator[str]:
    for part in _PART.findall(text):
        if part.isspace():
            yield " "
        elif text_width(part) <= most:
            yield part
        else:
            yield from _letters(part)


def _letters(word: str) -> Iterator[str]:
    """Yield the letters, each with what is drawn onto it."""
    letter = ""
    for sign in word:
        if letter and not _joins(sign):
            yield letter
            letter = ""
        letter += sign
    yield letter


def runs_right_to_left(text: str) -> bool | None:
    """Tell by the first letter that has a direction, as dir="auto" does; None where there is none."""
    for letter in text:
        direction = unicodedata.bidirectional(letter)
        if direction in {"L", "R", "AL"}:
            return direction != "L"
    return None
