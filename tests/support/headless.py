"""Chromium, for tests, pictures and measurements."""

import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Playwright

# The same engine without a window takes two thirds of the CPU of the whole browser.
PROGRAMS = ["chromium-headless-shell", "chromium"]
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def launch_chromium(playwright: "Playwright") -> "Browser":
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)  # fmt: skip
    if not path:
        raise FileNotFoundError(
            f"Chromium is missing. Install it (apt-get install {PROGRAMS[0]}) or name it in CHROMIUM."
        )
    return playwright.chromium.launch(executable_path=path, args=QUIET)
