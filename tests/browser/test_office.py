"""An organiser's numbers move, and a member of a list sets a password, in Chromium."""

import secrets

import pytest
from playwright.sync_api import Page, expect

from tests.support.people import Voter
from tests.support.servers import Site

pytestmark = pytest.mark.once

OLGA = ("olga", "a good password")


@pytest.fixture(scope="module")
def cookies(site: Site) -> dict[str, str]:
    site.add_account(*OLGA, organiser=True)
    return Voter(site.base).log_in(*OLGA).cookies


def at_work(page: Page, site: Site, cookies: dict[str, str]) -> Page:
    for name, value in cookies.items():
        page.context.add_cookies([{"name": name, "value": value, "url": site.base}])
    return page


def test_the_numbers_move(visitor, site, cookies):
    question = site.ask("Tea or coffee?", "Tea", "Coffee")
    page = at_work(visitor, site, cookies)
    for path in ("/admin/", f"/admin/polls/question/{question}/live/"):
        page.goto(path)
        number = page.locator(
            f"[data-number=ballots-{question}], [data-number=ballots]"
        )
        before = int(number.inner_text())
        assert Voter(site.base).open_and_vote(question).status == 302
        expect(number).to_have_text(str(before + 1))


def test_a_member_sets_a_password(page, site, cookies):
    """From the pasted list to the signed-in member."""
    name = f"ann{secrets.token_hex(3)}"
    at_work(page, site, cookies)
    page.goto("/admin/auth/user/")
    page.get_by_role("link", name="Add many").click()
    page.get_by_label("Members, one a line").fill(f"{name}\n{name}, nobodies")
    page.get_by_role("button", name="Make accounts and links").click()
    expect(
        page.get_by_text(f"Line 2: “{name}” stands in line 1 already.")
    ).to_be_visible()
    page.get_by_label("Members, one a line").fill(name)
    page.get_by_role("button", name="Make accounts and links").click()
    link = page.locator(".slip-link").inner_text()
    page.context.clear_cookies()
    page.goto(link)
    for label in ("New password", "New password confirmation"):
        page.get_by_label(label, exact=True).fill("her own words")
    page.get_by_role("button", name="Save the password").click()
    expect(page.get_by_role("status")).to_contain_text(f"You are signed in as {name}.")


def test_a_button_says_that_it_works(visitor, site, cookies):
    page = at_work(visitor, site, cookies)
    page.goto("/admin/auth/user/members/")
    # The page stays, as one does whose answer takes its time.
    form = page.locator("form[data-busy]")
    form.evaluate("f => f.addEventListener('submit', e => e.preventDefault())")
    page.get_by_label("Members, one a line").fill("ann")
    page.get_by_role("button", name="Make accounts and links").click()
    expect(page.get_by_role("button", name="Working…")).to_be_visible()
    expect(form).to_have_attribute("aria-busy", "true")
