"""A poll from its first word to its files, on phones, in three languages, one of them read from right to left."""

import csv
import json
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from io import StringIO

import pytest
from django.utils.text import capfirst
from django.utils.translation import gettext, override
from playwright.sync_api import Browser, Page, expect

from polls import phrases
from tests.support.people import Voter
from tests.support.servers import Site

pytestmark = pytest.mark.once

OLGA = ("olga", "a good password")
PHONE = {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}  # fmt: skip
TEXTS = {
    "de": ("Wohin fahren wir?", "Ans Meer", "In die Berge"),
    "ar": ("إلى أين نسافر؟", "إلى البحر", "إلى الجبال"),
    "hi": ("हम कहाँ जाएँ?", "समुद्र", "पहाड़"),
}


@pytest.fixture(params=TEXTS)
def language(request: pytest.FixtureRequest) -> Iterator[str]:
    with override(request.param):
        yield request.param


@pytest.fixture
def phone(chromium: Browser, site: Site, language: str) -> Iterator[Callable[..., Page]]:  # fmt: skip
    """A function that gives somebody a phone set to the language."""
    with ExitStack() as phones:

        def another(**options: object) -> Page:
            context = chromium.new_context(base_url=site.base, locale=language, **PHONE, **options)  # fmt: skip
            phones.enter_context(closing(context))
            page = context.new_page()
            page.set_default_timeout(10_000)
            return page

        yield another


def label(words: str) -> str:
    """Return what stands before a field of the admin."""
    return capfirst(gettext(words)) + gettext(":")


def press(page: Page, words: str) -> None:
    page.get_by_role("button", name=gettext(words), exact=True).click()


def follow(page: Page, words: str) -> None:
    page.get_by_role("link", name=gettext(words)).first.click()


def log_in(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_label(capfirst(gettext("username"))).fill(OLGA[0])
    page.get_by_label(gettext("Password")).fill(OLGA[1])
    press(page, "Log in")


def write_poll(page: Page, question: str, choices: tuple[str, ...]) -> None:
    follow(page, "Add a poll")
    page.get_by_label(label("question")).fill(question)
    page.get_by_label(label("choices")).fill("\n".join(choices))
    page.get_by_label(label("who votes")).select_option("codes")
    press(page, "Save")


def print_codes(page: Page) -> list[str]:
    follow(page, "Invitation codes")
    page.get_by_label(label("How many")).fill("2")
    press(page, "Make and print")
    codes = page.locator("li .code")
    expect(codes).to_have_count(2)
    return codes.all_text_contents()


def vote_by_keyboard(page: Page, address: str, code: str, choice: str) -> None:
    """Come by the link of the slip, and touch nothing."""
    page.goto(f"{address}code/{code.replace('-', '')}/")
    chosen = page.get_by_role("radio", name=choice)
    for _ in range(10):
        page.keyboard.press("Tab")
        if chosen.evaluate("radio => radio.closest('form').contains(document.activeElement)"):  # fmt: skip
            break
    # One stop for all choices of a group, and arrows between them.
    while not chosen.is_checked():
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/results/")


def vote_without_script(page: Page, address: str, code: str, choice: str) -> None:
    page.goto(address)
    page.get_by_role("textbox", name=gettext("Invitation code")).fill(code.lower())
    press(page, "Continue")
    page.get_by_role("radio", name=choice).check()
    press(page, "Vote")


def shows(page: Page, choice: str, votes: int, percent: float) -> None:
    row = page.get_by_role("row", name=choice)
    expect(row).to_contain_text(phrases.share(percent, 1))
    expect(row.get_by_role("cell").last).to_have_text(phrases.votes(votes))


def tells_who_won(page: Page, choice: str) -> None:
    outcome = page.locator(".outcome")
    expect(outcome).to_contain_text(choice)
    won = re.split(r"%\(\w+\)s", gettext("%(choices)s won with %(share)s"))
    for words in won:
        expect(outcome).to_contain_text(words.strip())


def files_tell(anybody: Voter, path: str, choices: list[str], receipts: set[str]) -> None:  # fmt: skip
    """All files of the poll have these two ballots, both for the second choice."""
    sea, hills = choices
    results = csv.DictReader(StringIO(anybody.get(f"{path}results.csv").text))
    assert [(row["choice"], row["votes"]) for row in results] == [(sea, "0"), (hills, "2")]  # fmt: skip
    numbers = json.loads(anybody.get(f"{path}results.json").text)
    assert numbers["ballots"] == 2
    cast = csv.DictReader(StringIO(anybody.get(f"{path}ballots.csv").text))
    assert {row["receipt"]: row["choice 1"] for row in cast} == dict.fromkeys(receipts, f"2. {hills}")  # fmt: skip


def test_from_the_first_word_to_the_files(phone: Callable[..., Page], site: Site, language: str) -> None:  # fmt: skip
    asked, *choices = TEXTS[language]
    question = f"{asked} {secrets.token_hex(4)}"
    sea, hills = choices
    site.add_account(*OLGA, organiser=True)
    olga = phone()
    log_in(olga)
    write_poll(olga, question, (sea, hills))
    address = olga.get_by_label(gettext("Link for voters")).input_value()
    codes = print_codes(olga)

    watcher = phone()
    watcher.goto(f"{address}results/")
    html = watcher.locator("html")
    expect(html).to_have_attribute("lang", language)
    expect(html).to_have_css("direction", "rtl" if language == "ar" else "ltr")

    keys = phone()
    vote_by_keyboard(keys, address, codes[0], hills)
    expect(keys.get_by_role("heading", name=gettext("Your vote is counted"))).to_be_visible()  # fmt: skip
    shows(watcher, hills, 1, 100)

    plain = phone(java_script_enabled=False)
    vote_without_script(plain, address, codes[1], hills)
    expect(plain.get_by_role("row", name=hills)).to_contain_text(gettext("Your vote"))
    shows(watcher, hills, 2, 100)
    shows(watcher, sea, 0, 0)

    number = int(re.findall(r"/polls/(\d+)/", address)[0])
    olga.goto(f"/admin/polls/question/{number}/change/")
    press(olga, "Close now")
    press(olga, "Close now")
    tells_who_won(watcher, hills)
    receipts = {page.get_by_role("main").locator("a.code").inner_text() for page in (keys, plain)}  # fmt: skip
    files_tell(Voter(site.base), address.removeprefix(site.base), choices, receipts)
