"""From an accepted vote to the moved bar in another browser.

usage: python -m bench.browser_delay [--votes 100] [--command "gunicorn polls.wsgi"]

Chromium looks at the results page of a server of its own (three workers, so
that vote and viewer are mostly on different ones) while new voters vote. Its
page notes when the number beside a bar changes; both clocks are the machine's.
SQLite, or the server of DATABASE_URL (python tests/support/postgres.py ...).
"""

import argparse
import random
import statistics
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from tests.support.headless import launch_chromium
from tests.support.people import Voter
from tests.support.servers import Site

NOTE = """() => {
    window.moved = {};
    const cell = document.querySelector("[data-votes]");
    new MutationObserver(() => { window.moved[parseInt(cell.textContent)] ??= Date.now(); })
        .observe(cell, { childList: true, characterData: true, subtree: true });
}"""


def measure(site: Site, page: Page, votes: int) -> list[float]:
    """Return the delays in milliseconds, sorted; a vote that came together with a later one counts with it."""
    question = site.ask()
    voters = [Voter(site.base) for _ in range(votes)]
    choices = [voter.open_ballot(question)[0] for voter in voters]
    page.goto(f"{site.base}/polls/{question}/results/")
    page.get_by_text("Live", exact=True).wait_for()
    page.evaluate(NOTE)
    accepted = []
    for voter, choice in zip(voters, choices, strict=True):
        assert voter.vote(choice, question).status == 302
        accepted.append(time.time() * 1000)
        page.wait_for_timeout(random.uniform(200, 1000))
    # Not wait_for_function: it needs eval, which the site's policy forbids.
    while str(votes) not in page.evaluate("window.moved"):
        page.wait_for_timeout(100)
    moved = {int(n): at for n, at in page.evaluate("window.moved").items()}
    shown = [min(at for n, at in moved.items() if n > vote) for vote in range(votes)]
    return sorted(at - begun for at, begun in zip(shown, accepted, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--votes", type=int, default=100)
    parser.add_argument(
        "--command", default="gunicorn polls.asgi -k uvicorn.workers.UvicornWorker"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = Site(options.command, Path(folder), {"WEB_CONCURRENCY": "3"}).ready()
        browser = launch_chromium(playwright)
        try:
            delays = measure(site, browser.new_page(), options.votes)
        finally:
            browser.close()
            site.stop()
    print(
        f"{options.command}: {len(delays)} votes, p50 {statistics.median(delays):.0f} ms, "
        f"p99 {delays[int(len(delays) * 0.99)]:.0f} ms, worst {delays[-1]:.0f} ms"
    )


if __name__ == "__main__":
    main()
