"""The stylesheet: what is written with its colours can be read, and it stays small."""

import gzip
import re

import pytest

from polls import accent
from tests.support.servers import ROOT

pytestmark = pytest.mark.once

CSS = (ROOT / "polls/static/polls/style.css").read_text()
WALL = (ROOT / "polls/static/polls/wall.css").read_text()


def tokens(block: str) -> dict[str, str]:
    found = dict(re.findall(r"--(\w+): (#\w+)", block))
    tint = re.search(r"--tint: color-mix\(in oklab, var\(--fill\) (\d+)%", block)
    found["tint"] = accent.mix(found["fill"], found["card"], int(tint[1]) / 100)
    return found


LIGHT = tokens(CSS.partition("@media")[0])
DARK = tokens(CSS.partition("(prefers-color-scheme: dark)")[2].partition("\n}\n")[0])
SCHEMES = pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
GROUNDS = ["paper", "card", "tint"]


@SCHEMES
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", ["ink", "soft", "fill", "good", "bad"])
def test_text_can_be_read(scheme, text, ground):
    assert accent.contrast(scheme[text], scheme[ground]) >= 4.5


@SCHEMES
def test_text_in_the_accent_can_be_read(scheme):
    assert accent.contrast(scheme["on"], scheme["fill"]) >= 4.5


@SCHEMES
@pytest.mark.parametrize("ground", GROUNDS)
def test_the_edge_of_a_control_can_be_seen(scheme, ground):
    assert accent.contrast(scheme["edge"], scheme[ground]) >= 3


def test_it_writes_on_the_grounds_that_accents_are_held_against():
    for scheme, held in ((LIGHT, accent.LIGHT), (DARK, accent.DARK)):
        assert (scheme["paper"], scheme["card"], scheme["on"]) == held[:3]
    assert (LIGHT["fill"], DARK["fill"]) == accent.fills(accent.DEFAULT)


HUES = [f"#{r}{g}{b}" for r in ("00", "80", "ff") for g in ("00", "80", "ff") for b in ("00", "80", "ff")]  # fmt: skip


@pytest.mark.parametrize("colour", HUES)
def test_every_accent_is_made_readable(colour):
    for fill, scheme in zip(accent.fills(colour), (accent.LIGHT, accent.DARK)):
        tint = accent.mix(fill, scheme.card, scheme.tint)
        for ground in (scheme.paper, scheme.card, scheme.on, tint):
            assert accent.contrast(fill, ground) >= 4.5


def test_an_accent_that_can_be_read_stays_as_it_was_named():
    assert accent.fills("#c2185b")[0] == "#c2185b"


def test_it_knows_the_contrast_of_black_and_white():
    assert accent.contrast("#fff", "#000000") == pytest.approx(21)
    assert accent.contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


def test_it_knows_every_property_that_it_uses():
    used, known = (set(re.findall(f, CSS + WALL)) for f in (r"var\(--(\w+)", r"--(\w+):"))  # fmt: skip
    assert used == known


def test_it_is_small():
    assert len(CSS) < 22_000
    assert len(gzip.compress(CSS.encode(), 9)) < 5_900
