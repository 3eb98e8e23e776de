"""axe-core finds nothing on any page in any state: light and dark, from left and from right, phone and desktop."""

import pytest
from playwright.sync_api import Browser

from tests.support import axe
from tests.support.gallery import Gallery

pytestmark = pytest.mark.once

MODES = {
    "phone, English": {"locale": "en-GB", "viewport": {"width": 360, "height": 740}, "is_mobile": True, "color_scheme": "light"},
    "desktop, Arabic": {"locale": "ar", "viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
}  # fmt: skip


# Colours that are on their way from light to dark are neither.
SETTLED = "Promise.all(document.getAnimations().map(animation => animation.finished))"


@pytest.mark.parametrize("mode", MODES)
def test_axe_finds_nothing(chromium: Browser, gallery: Gallery, mode: str) -> None:
    scheme = MODES[mode]["color_scheme"]
    found = []
    for sight, page in gallery.tour(chromium, reduced_motion="reduce", **MODES[mode]):
        found += [f"{sight.name}: {line}" for line in axe.findings(page)]
        # The other of light and dark differs in nothing but colours.
        page.emulate_media(color_scheme="light" if scheme == "dark" else "dark")
        page.evaluate(SETTLED)
        other = axe.findings(page, "color-contrast")
        found += [f"{sight.name}, not {scheme}: {line}" for line in other]
        page.emulate_media(color_scheme=scheme)
    assert not found, "\n".join(found)
