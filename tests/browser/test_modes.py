"""The pages as people set them up: large or spaced text, few colours, no motion, paper, the keyboard alone."""

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

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


# What has lost the edge by which it is seen where the browser sets all colours.
EDGELESS = """() => [...document.querySelectorAll(".button, .pill, .option, .ring, meter")].filter(element => {
    const style = getComputedStyle(element), page = getComputedStyle(document.body).backgroundColor;
    const edge = style.borderTopStyle != "none" && parseFloat(style.borderTopWidth) >= 1;
    return element.checkVisibility() && !(edge && style.borderTopColor != page && !/rgba.* 0[)]/.test(style.borderTopColor));
}).map(element => element.outerHTML.slice(0, 80))"""


def test_controls_and_bars_keep_an_edge_in_forced_colours(chromium: Browser, gallery: Gallery) -> None:  # fmt: skip
    edgeless = {}
    for sight, page in gallery.tour(chromium, PUBLIC, forced_colors="active"):
        edgeless[sight.name] = page.evaluate(EDGELESS)
    assert not {name: found for name, found in edgeless.items() if found}


# Text that is pale, or set on a dark ground, and what nobody can press on paper.
ILL_PRINTED = """() => {
    const light = colour => { const [r, g, b] = colour.match(/[\\d.]+/g); return (.21 * r + .72 * g + .07 * b) / 255; };
    const found = [...document.body.querySelectorAll("*")].filter(element => element.checkVisibility() && (
        element.matches("button:not(.option), .button, .foot, .skip, [type=submit]") ||
        !element.matches(".place") && [...element.childNodes].some(node => node.nodeType == 3 && node.data.trim()) && light(getComputedStyle(element).color) > .45
    )).map(element => element.outerHTML.slice(0, 80));
    const ground = getComputedStyle(document.body).backgroundColor;
    return ground == "rgb(255, 255, 255)" ? found : [...found, "the page is " + ground];
}"""
HAVE_AN_ADDRESS = ("ballot", "results")


def test_a_dark_device_prints_black_on_white_without_controls(chromium: Browser, gallery: Gallery) -> None:  # fmt: skip
    ill = {}
    for sight, page in gallery.tour(chromium, PUBLIC, color_scheme="dark"):
        page.emulate_media(media="print", color_scheme="dark")
        ill[sight.name] = page.evaluate(ILL_PRINTED)
        if sight.name.startswith(HAVE_AN_ADDRESS):
            expect(page.locator(".printed").first).to_contain_text("/polls/")
        page.emulate_media(media="screen")
    assert not {name: found for name, found in ill.items() if found}


# Whether the focus is seen: on the element, or on the card or row that it is in.
IN_SIGHT = """() => {
    const at = document.activeElement;
    return [at, at.closest(".option"), at.closest("li")].some(element => {
        const style = element && getComputedStyle(element);
        return style && style.outlineStyle != "none" && parseFloat(style.outlineWidth) >= 2;
    });
}"""


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the focus is there; on the way it is seen wherever it is."""
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate(IN_SIGHT), page.evaluate("document.activeElement.outerHTML")  # fmt: skip
        if target.evaluate("target => target == document.activeElement"):
            return
    raise AssertionError("The focus does not come there.")


@pytest.mark.parametrize("kind", ["one", "several", "ranked"])
def test_the_keyboard_alone_votes_and_sees_where_it_is(chromium: Browser, gallery: Gallery, kind: str) -> None:  # fmt: skip
    question = gallery.site.ask("Which?", "Red", "Blue", "Green", kind=kind)
    page = gallery.context(chromium, "").new_page()
    page.goto(f"/polls/{question}/")
    choice = "button" if kind == "ranked" else "[name=choice]"
    tab_to(page, page.locator(f"main form {choice}").first)
    page.keyboard.press("Space")
    tab_to(page, page.locator("main form [type=submit]"))
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{gallery.site.base}/polls/{question}/results/")
    expect(page.locator(".lead .pct")).to_have_text("100.0%")
    assert gallery.site.counts(question)[1] == 1
    page.context.close()
