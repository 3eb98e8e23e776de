"""Pictures of every page in every state, and sheets of thumbnails to look through them.

python -m tests.support.screenshots FOLDER [WORDS OF A NAME]
"""

import argparse
import base64
import re
import shutil
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.gallery import SIGHTS, Gallery, Sight
from tests.support.headless import launch_chromium
from tests.support.servers import Site

SIZES: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 360, "height": 740}, "is_mobile": True},
    "desktop": {"viewport": {"width": 1280, "height": 800}},
    "projector": {"viewport": {"width": 1920, "height": 1080}},
    "small projector": {"viewport": {"width": 1280, "height": 720}},
}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light"},
    "dark": {"color_scheme": "dark"},
    "forced": {"forced_colors": "active", "color_scheme": "dark"},
    "print": {"media": "print", "color_scheme": "light", "forced_colors": "none"},
}
PLAIN = {"media": "screen", "forced_colors": "none", "color_scheme": "light"}
# As wide as paper is between its margins.
PAPER = {"width": 718, "height": 1000}
SHEET = """<!doctype html><style>
body {{ margin: 12px; font: 14px sans-serif; background: #888; display: grid; gap: 12px; grid-template-columns: repeat({columns}, 1fr) }}
figure {{ margin: 0; min-width: 0 }} figcaption {{ font-weight: bold; background: #ff8; padding: 2px 4px }}
img {{ width: 100%; max-height: {height}px; object-fit: cover; object-position: top; display: block }}
</style>{figures}"""
FIGURE = '<figure><figcaption>{name}</figcaption><img src="data:image/png;base64,{data}"></figure>'


def _sights(size: str, words: str) -> list[Sight]:
    named = [sight for sight in SIGHTS if words in sight.name]
    if "projector" in size:
        return [sight for sight in named if sight.kind == "wall"]
    return named


def _looks(size: str) -> list[str]:
    """On paper there is one size, and projectors do not force colours."""
    return {"phone": ["light", "dark", "forced"], "desktop": list(LOOKS)}.get(size, ["light", "dark"])  # fmt: skip


def _shoot(page: Page, folder: Path, size: str, sight: Sight) -> None:
    stem = re.sub(r"[^a-z0-9]+", "-", sight.name)
    for look in _looks(size):
        page.emulate_media(**{**PLAIN, **LOOKS[look]}, reduced_motion="reduce")
        page.set_viewport_size(PAPER if look == "print" else SIZES[size]["viewport"])
        place = folder / f"{size} {look}" / f"{stem}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=place, full_page=sight.kind != "wall")
    page.emulate_media(**PLAIN)
    page.set_viewport_size(SIZES[size]["viewport"])


def _sheet(page: Page, pictures: list[Path], target: Path, columns: int) -> None:
    figures = "".join(
        FIGURE.format(name=picture.stem, data=base64.b64encode(picture.read_bytes()).decode())  # fmt: skip
        for picture in pictures
    )
    height = 620 if columns > 4 else 900
    page.set_content(SHEET.format(columns=columns, height=height, figures=figures))
    page.screenshot(path=target, full_page=True)


def _sheets(browser: Browser, folder: Path) -> None:
    page = browser.new_page(viewport={"width": 1900, "height": 900})
    for group in sorted(path for path in folder.glob("*/*") if path.is_dir()):
        columns = 6 if "phone" in group.name else 3
        pictures = sorted(group.glob("*.png"))
        for n in range(0, len(pictures), columns * 2):
            name = f"{group.parent.name} {group.name} {n // (columns * 2) + 1:02}.png"
            _sheet(page, pictures[n : n + columns * 2], folder / name, columns)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("folder", type=Path)
    options.add_argument("words", nargs="?", default="")
    options.add_argument("--language", nargs="*", default=["en", "ar"])
    options.add_argument("--size", nargs="*", default=list(SIZES))
    given = options.parse_args()
    shutil.rmtree(given.folder, ignore_errors=True)
    site = Site("uvicorn polls.asgi:application", given.folder / "site").ready()
    try:
        with sync_playwright() as playwright:
            browser = launch_chromium(playwright)
            gallery = Gallery(site)
            for language in given.language:
                for size in given.size:
                    own = {"locale": language, **SIZES[size]}
                    for sight, page in gallery.tour(browser, _sights(size, given.words), **own):  # fmt: skip
                        if language == "ar":
                            page.evaluate("document.documentElement.dir = 'rtl'")
                        _shoot(page, given.folder / language, size, sight)
            _sheets(browser, given.folder)
    finally:
        site.kill()


if __name__ == "__main__":
    main()
