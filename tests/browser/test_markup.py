"""The Nu Html Checker has nothing to say about any page in any state."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.support.gallery import Gallery
from tests.support.nu import complaints

pytestmark = pytest.mark.once


def test_every_page_is_html(chromium: Browser, gallery: Gallery, tmp_path: Path) -> None:  # fmt: skip
    pages = {
        sight.name: gallery.document.text()
        for sight, _ in gallery.tour(chromium, java_script_enabled=False)
    }
    found = complaints(pages, tmp_path)
    assert not found, "\n".join(found)
