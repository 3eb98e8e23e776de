"""The pages as people set them up: large or spaced text, few colours, no motion, paper, the keyboard alone."""

import pytest
from playwright.sync_api import Browser

from tests.support.gallery import PUBLIC, Gallery

pytestmark = pytest.mark.once

# What sticks out of the page, or is cut off by the box it is in. What scrolls in a box of its own is not lost.
LOST = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = element => {
        for (; element; element = element.parentElement)
            if (/auto|scroll/.test(getComputedStyle(element).overflowX)) return true;
    };
    const lost = document.documentElement.scrollWidth > width ? ["the page scrolls to " + document.documentElement.scrollWidth] : [];
    for (const element of document.body.querySelectorAll("*")) {
        const box = element.getBoundingClientRect(), style = getComputedStyle(element);
        const text = [...element.childNodes].some(node => node.nodeType == 3 && node.data.trim());
        if (!text || box.width <= 1 || element.closest(".unseen, .skip, thead") || scrolls(element)) continue;
        if (box.left < -1 || box.right > width + 1) lost.push("sticks out: " + element.outerHTML.slice(0, 80));
        if (/hidden|clip/.test(style.overflowX) && element.scrollWidth > element.clientWidth + 1) lost.push("is cut: " + element.outerHTML.slice(0, 80));
    }
    return lost;
}"""
# WCAG 1.4.12: what a reader may set, with nothing lost.
SPACED = "* { line-height: 1.5 !important; letter-spacing: .12em !important; word-spacing: .16em !important } p { margin-bottom: 2em !important }"
ADD_STYLE = """css => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    document.adoptedStyleSheets = [sheet];
}"""


def test_nothing_is_lost_at_400_percent(chromium: Browser, gallery: Gallery) -> None:
    """A window of 1280 pixels enlarged four times is 320 wide; and with the text spaced out as well."""
    lost = {}
    for sight, page in gallery.tour(chromium, PUBLIC, viewport={"width": 320, "height": 256}):  # fmt: skip
        lost[sight.name] = page.evaluate(LOST)
        page.evaluate(ADD_STYLE, SPACED)
        lost[f"{sight.name}, spaced"] = page.evaluate(LOST)
    assert not {name: found for name, found in lost.items() if found}


def test_nothing_moves_where_motion_is_not_wanted(chromium: Browser, gallery: Gallery) -> None:  # fmt: skip
    moving = {}
    for sight, page in gallery.tour(chromium, PUBLIC, reduced_motion="reduce"):
        moving[sight.name] = page.evaluate("document.getAnimations().length")
    assert not {name for name, number in moving.items() if number}
