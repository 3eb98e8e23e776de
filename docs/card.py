"""Draw polls/static/polls/card.png, which networks show beside a link to a poll, from card.html by Chromium.

It holds no word, for each site has its own name and its visitors several languages.
"""

from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.support.headless import launch_chromium

HERE = Path(__file__).resolve().parent
CARD = HERE.parent / "polls/static/polls/card.png"

if __name__ == "__main__":
    with sync_playwright() as playwright:
        chromium = launch_chromium(playwright)
        # The size that networks ask for.
        page = chromium.new_page(viewport={"width": 1200, "height": 630})
        page.goto((HERE / "card.html").as_uri())
        page.screenshot(path=CARD)
        chromium.close()
    print(f"{CARD}: {CARD.stat().st_size} bytes")
