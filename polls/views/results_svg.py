"""The results as a picture, results.svg: a bar for each choice, or for each choice in the last rounds of a run-off.

A white card in light and dark, drawn for a width at which its text can be read on a phone. Texts are wrapped, not cut.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from django.conf import settings
from django.utils.translation import (
    get_language,
    get_language_bidi,
    gettext,
    ngettext,
    pgettext,
)

from .. import accent, phrases
from ..counting.numbers import RoundTally, in_play
from ..counting.tally import ChoiceTally, Tally
from .text_width import runs_right_to_left, text_width, wrap

WIDTH, EDGE, GAP = 640, 28, 16
INNER = WIDTH - 2 * EDGE
# Rounds side by side that leave room for their numbers; the results page has a table of more.
MOST_ROUNDS = 4

_FILL = accent.fills(settings.ACCENT_COLOUR or accent.DEFAULT)[0]
_TINT = accent.mix(_FILL, "#fff", 0.4)
# What may run the other way than the language of the picture.
BY_ORGANISERS = {"title", "name", "own"}
# Font sizes, and the space from one line to the next.
SIZES = {"title": (30, 38), "outcome": (24, 32), "name": (22, 30), "small": (19, 28)}
# The one inline style of the site, allowed by its hash: the picture has to carry its colours along.
STYLE = (
    "text{font:22px system-ui,sans-serif;fill:#201c17}.title{font-size:30px;font-weight:700}"
    ".outcome{font-size:24px;font-weight:700}.own{font-weight:700}.small{font-size:19px;fill:#625a50}.card{fill:#fff}"
    f".track{{fill:#f0ece4}}.bar{{fill:{_TINT}}}.lead{{fill:{_FILL}}}.half{{fill:#201c17;stroke:#fff;stroke-width:2;paint-order:stroke}}"
)
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


class Line(NamedTuple):
    style: str
    x: str
    y: int
    anchor: str
    is_rtl: bool
    text: str


class Bar(NamedTuple):
    style: str
    x: str
    y: int
    width: str
    height: int


def draw(tally: Tally) -> dict[str, object]:
    """Return what stands in the picture, and where."""
    picture = _Picture()
    picture.text("title", tally["question"]["text"])
    picture.skip(4)
    picture.text("small", _state(tally))
    if tally["outcome"]:
        picture.skip(8)
        picture.text("outcome", tally["outcome"])
    picture.skip(GAP)
    if tally["rounds"]:
        words = list(_draw_rounds(picture, tally))
    else:
        words = [picture.choice(choice, tally) for choice in tally["choices"]]
    if tally["behind"]:
        picture.text("small", tally["behind"])
    said = [_state(tally), tally["outcome"], *words, tally["behind"]]
    return picture.context() | {"words": " ".join(filter(None, said))}


def _state(tally: Tally) -> str:
    names = {"ballots": tally["ballots_text"]}
    if tally["question"]["state"] == "open":
        return gettext("%(ballots)s, open.") % names
    return gettext("%(ballots)s, closed.") % names


def _went_out(number: int) -> str:
    sentence = ngettext(
        "%(number)s choice went out before.",
        "%(number)s choices went out before.",
        number,
    )
    return sentence % {"number": phrases.number(number)}


def _draw_rounds(picture: "_Picture", tally: Tally) -> Iterator[str]:
    """Draw the last rounds side by side, and yield what they say of each choice that was still in."""
    rounds = tally["rounds"]
    first = max(0, len(rounds) - MOST_ROUNDS)
    shown = rounds[first:]
    names = [
        gettext("Round %(number)s") % {"number": first + n + 1}
        for n in range(len(shown))
    ]
    picture.columns("small", names)
    out = 0
    for n, choice in enumerate(tally["choices"]):
        votes = [round_["votes"][n] for round_ in shown]
        if votes[0] is None:
            out += 1
            continue
        picture.skip(8)
        is_elected = choice["id"] == tally["elected"]
        picture.text("own" if is_elected else "name", choice["text"])
        numbers = picture.rounds(choice, shown, votes, is_elected)
        yield f"{phrases.isolated(choice['text'])}: {pgettext('list', ', ').join(numbers)}."
    picture.skip(GAP)
    if out:
        picture.text("small", _went_out(out))
    picture.text("small", gettext("The line is at half of the ballots still in play."))


class _Picture:
    """Texts and bars from top to bottom, mirrored where the language runs from right to left."""

    def __init__(self) -> None:
        self._is_mirrored = get_language_bidi()
        self._lines: list[Line] = []
        self._bars: list[Bar] = []
        self._y = EDGE

    def context(self) -> dict[str, object]:
        return {
            "lines": self._lines,
            "bars": self._bars,
            "width": str(WIDTH),
            "height": str(self._y + EDGE),
            "language": get_language(),
            "style": STYLE,
        }

    def skip(self, space: int) -> None:
        self._y += space

    def text(self, style: str, text: str, width: float = INNER) -> None:
        """Write a text at the start, in as many lines as it takes."""
        size, step = SIZES.get(style, SIZES["name"])
        # A sentence of ours may begin with a name of theirs.
        own = runs_right_to_left(text) if style in BY_ORGANISERS else None
        is_rtl = self._is_mirrored if own is None else own
        for line in wrap(text, width / size):
            self._write(style, EDGE, self._y + size, line, is_rtl)
            self.skip(step)

    def _write(
        self,
        style: str,
        x: float,
        y: int,
        text: str,
        is_rtl: bool | None = None,
        at_end: bool = False,
    ) -> None:
        """Write a line from x on, or up to x, counted from where the language begins its lines."""
        if is_rtl is None:
            own = runs_right_to_left(text)
            is_rtl = self._is_mirrored if own is None else own
        # An anchor goes by the direction of the text, and its place by that of the picture.
        is_at_left = at_end == self._is_mirrored
        anchor = "start" if is_at_left != is_rtl else "end"
        self._lines.append(Line(style, self._place(x), y, anchor, is_rtl, text))

    def _place(self, x: float) -> str:
        return f"{WIDTH - x if self._is_mirrored else x:g}"

    def _bar(self, style: str, x: float, width: float, y: int, height: int) -> None:
        left = WIDTH - x - width if self._is_mirrored else x
        self._bars.append(Bar(style, f"{left:g}", y, f"{round(width, 1):g}", height))

    def columns(self, style: str, texts: Sequence[str]) -> None:
        size, step = SIZES["small"]
        for n, text in enumerate(texts):
            x = EDGE + n * _column(texts)
            self._write(style, x, self._y + size, text)
        self.skip(step)

    def choice(self, choice: ChoiceTally, tally: Tally) -> str:
        """Draw a choice with its votes and share, and return what that says."""
        votes = phrases.number(choice["votes"])
        numbers = f"{votes} · {choice['percent_text']}"
        most = max(other["votes"] for other in tally["choices"])
        is_first = choice["votes"] == most > 0
        size, _ = SIZES["name"]
        first = self._y + size
        room = INNER - GAP - size * text_width(numbers)
        style = "own" if is_first else "name"
        self.text(style, choice["text"], room)
        self._write(style, WIDTH - EDGE, first, numbers, at_end=True)
        self.skip(3)
        self._bar("track", EDGE, INNER, self._y, 18)
        width = INNER * choice["percent"] / 100
        self._bar("lead" if is_first else "bar", EDGE, width, self._y, 18)
        self.skip(18 + GAP + 6)
        return (
            f"{phrases.isolated(choice['text'])}: {votes} ({choice['percent_text']})."
        )

    def rounds(
        self,
        choice: ChoiceTally,
        rounds: Sequence[RoundTally],
        votes: Iterable[int | None],
        is_elected: bool,
    ) -> list[str]:
        """Draw a bar for each round that the choice was in, and return the numbers below."""
        slot = _column(rounds)
        width = slot - GAP
        said = []
        for n, (round_, count) in enumerate(zip(rounds, votes)):
            if count is None:
                continue
            x, share = EDGE + n * slot, count / (in_play(round_) or 1)
            self._bar("track", x, width, self._y + 3, 16)
            style = "lead" if is_elected else "bar"
            self._bar(style, x, width * share, self._y + 3, 16)
            self._bar("half", x + width / 2 - 1, 2, self._y, 22)
            said.append(_votes(count, round_["eliminated"] == choice["id"]))
            self._write("small", x, self._y + 43, said[-1])
        self.skip(52)
        return said


def _column(columns: Sequence[object]) -> float:
    """Return how far it is from one column to the next."""
    return (INNER + GAP) / len(columns)


def _votes(count: int, goes_out: bool) -> str:
    number = phrases.number(count)
    return gettext("%(number)s, out") % {"number": number} if goes_out else number
