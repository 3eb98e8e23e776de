"""Every page in every state: axe-core and the Nu Html Checker find nothing, and it is whole as people set it up.

Most of the time goes into coming to a page, so each is looked at in all ways while it is there.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.support import axe
from tests.support.gallery import SIGHTS, Gallery, Sight
from tests.support.nu import complaints

pytestmark = pytest.mark.once

PHONE = {"width": 360, "height": 740}
# A window of 1280 pixels enlarged four times.
ENLARGED = {"width": 320, "height": 256}

# Colours that are on their way from light to dark are neither.
SETTLED = "Promise.all(document.getAnimations().map(animation => animation.finished))"
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
# What has lost the edge by which it is seen where the browser sets all colours.
EDGELESS = """() => [...document.querySelectorAll(".button, .pill, .option, .ring, meter")].filter(element => {
    const style = getComputedStyle(element), page = getComputedStyle(document.body).backgroundColor;
    const edge = style.borderTopStyle != "none" && parseFloat(style.borderTopWidth) >= 1;
    return element.checkVisibility() && !(edge && style.borderTopColor != page && !/rgba.* 0[)]/.test(style.borderTopColor));
}).map(element => element.outerHTML.slice(0, 80))"""
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


def ways_of_reading(page: Page, sight: Sight) -> Iterator[str]:
    """Yield what goes wrong with few colours, on the paper of a dark device, and with large or spaced text."""
    page.emulate_media(forced_colors="active")
    for line in page.evaluate(EDGELESS):
        yield f"no edge in forced colours: {line}"
    page.emulate_media(forced_colors="none", media="print", color_scheme="dark")
    for line in page.evaluate(ILL_PRINTED):
        yield f"ill printed: {line}"
    if sight.name.startswith(HAVE_AN_ADDRESS):
        expect(page.locator(".printed").first).to_contain_text("/polls/")
    page.emulate_media(media="screen", color_scheme="light")
    page.set_viewport_size(ENLARGED)
    for line in page.evaluate(LOST):
        yield f"at 400%: {line}"
    page.evaluate(ADD_STYLE, SPACED)
    for line in page.evaluate(LOST):
        yield f"spaced: {line}"
    page.set_viewport_size(PHONE)


# In two parts, which two processes take at once.
@pytest.mark.parametrize("part", [0, 1])
def test_on_a_phone(chromium: Browser, gallery: Gallery, tmp_path: Path, part: int) -> None:  # fmt: skip
    found, documents = [], {}
    phone = {"viewport": PHONE, "is_mobile": True, "locale": "en-GB", "color_scheme": "light"}  # fmt: skip
    for sight, page in gallery.tour(chromium, SIGHTS[part::2], reduced_motion="reduce", **phone):  # fmt: skip
        documents[sight.name] = gallery.document.text()
        # First, while it would still move.
        moving = page.evaluate("document.getAnimations().length")
        lines = axe.findings(page)
        page.emulate_media(color_scheme="dark")
        page.evaluate(SETTLED)
        lines += [f"dark: {line}" for line in axe.findings(page, "color-contrast")]
        page.emulate_media(color_scheme="light")
        if sight.kind == "public":
            lines += [*ways_of_reading(page, sight), *["it moves"] * moving]
        found += [f"{sight.name}: {line}" for line in lines]
    found += complaints(documents, tmp_path)
    assert not found, "\n".join(found)


def test_on_a_desktop_from_right_to_left(chromium: Browser, gallery: Gallery) -> None:
    found = []
    desktop = {"viewport": {"width": 1280, "height": 800}, "locale": "ar", "color_scheme": "dark"}  # fmt: skip
    for sight, page in gallery.tour(chromium, SIGHTS, reduced_motion="reduce", **desktop):  # fmt: skip
        found += [f"{sight.name}: {line}" for line in axe.findings(page)]
    assert not found, "\n".join(found)


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
