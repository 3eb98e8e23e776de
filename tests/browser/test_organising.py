"""An organiser runs a poll in the admin, in Chromium, under the strict security policy."""

import secrets

import pytest
from playwright.sync_api import Page, expect

from tests.support.people import Voter
from tests.support.servers import Site

pytestmark = pytest.mark.once

OLGA = ("olga", "a good password")


@pytest.fixture
def text() -> str:
    """A question of which there is one on the site."""
    return f"Tea or coffee {secrets.token_hex(4)}?"


@pytest.fixture(scope="module")
def cookies(site: Site) -> dict[str, str]:
    """What the browser of an organiser has who has logged in."""
    site.add_account(*OLGA, organiser=True)
    return Voter(site.base).log_in(*OLGA).cookies


@pytest.fixture
def desk(page: Page, site: Site, cookies: dict[str, str]) -> Page:
    """The page of an organiser at work."""
    for name, value in cookies.items():
        page.context.add_cookies([{"name": name, "value": value, "url": site.base}])
    return page


def write_question(page: Page, text: str) -> None:
    page.goto("/admin/polls/question/add/")
    page.get_by_label("Question:").fill(text)
    page.get_by_label("Choices:").fill("Tea\nCoffee")
    page.get_by_role("button", name="Save", exact=True).click()


def find(site: Site, text: str) -> int:
    with site.database() as run:
        return run("SELECT id FROM polls_question WHERE question_text = %s", text)[0][0]


def test_it_works(page, site, text):
    site.add_account(*OLGA, organiser=True)
    page.goto("/admin/")
    page.get_by_label("Username").fill(OLGA[0])
    page.get_by_label("Password").fill(OLGA[1])
    page.get_by_role("button", name="Log in").click()
    write_question(page, text)
    page.get_by_role("link", name=text).first.click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="View on site").click(modifiers=["Control"])
    public = opened.value
    public.get_by_label("Coffee").check()
    public.get_by_role("button", name="Vote").click()
    expect(public.get_by_role("row", name="Coffee")).to_contain_text("Your vote")


def test_close_now_ends_the_vote(desk, site, text):
    """From the list and from the question's own page; both ask first."""
    write_question(desk, text)
    desk.goto("/admin/polls/question/")
    row = desk.get_by_role("row", name=text)
    row.get_by_role("checkbox").check()
    desk.get_by_label("Action:").select_option("close_now")
    desk.get_by_role("button", name="Run").or_(
        desk.get_by_role("button", name="Go")
    ).click()
    desk.get_by_role("link", name="No, go back").click()
    expect(row).to_contain_text("Open")
    row.get_by_role("link", name=text).click()
    desk.get_by_role("button", name="Close now").click()
    expect(desk.get_by_text(f"{text} (0 ballots)")).to_be_visible()
    desk.get_by_role("button", name="Close now").click()
    expect(desk.get_by_text("Closed: 1.")).to_be_visible()
    expect(row).to_contain_text("Closed")


def test_what_people_voted_on_is_text_and_can_be_copied(desk, site, text):
    write_question(desk, text)
    question, voter = find(site, text), Voter(site.base)
    assert voter.open_and_vote(question).status == 302
    desk.get_by_role("link", name=text).first.click()
    expect(
        desk.get_by_text("The wording is what people have voted on.")
    ).to_be_visible()
    expect(desk.locator("[name=question_text]")).to_have_count(0)
    desk.get_by_role("button", name="Duplicate").click()
    expect(desk.get_by_text("This is the copy.")).to_be_visible()
    desk.get_by_label("Question:").fill(f"Not {text}")
    desk.get_by_role("button", name="Save", exact=True).click()
    expect(desk.get_by_role("link", name=f"Not {text}").first).to_be_visible()


def test_numbers_show_with_the_kinds_that_have_them(desk, site):
    desk.goto("/admin/polls/question/add/")
    expect(desk.get_by_label("At least:")).to_be_hidden()
    desk.get_by_label("Kind:").select_option("several")
    expect(desk.get_by_label("At least:")).to_be_visible()


def test_a_printed_code_votes_once(desk, site, text):
    write_question(desk, text)
    with site.database() as run:
        run("UPDATE polls_question SET voters = 'codes'")
    desk.get_by_role("link", name=text).first.click()
    desk.get_by_role("button", name="Invitation codes").click()
    desk.get_by_label("How many:").fill("2")
    desk.get_by_role("button", name="Make and print").click()
    slip = desk.get_by_role("listitem").filter(has_text="No. 2")
    code = slip.locator(".code").text_content()
    # Away and back: the sheet is still there.
    desk.get_by_role("link", name="Back to the codes").click()
    desk.go_back()
    expect(slip.locator(".code")).to_have_text(code)
    desk.go_back()
    desk.go_forward()
    expect(slip.locator(".code")).to_have_text(code)
    with desk.expect_download() as file:
        desk.get_by_role("link", name="Download as CSV").click()
    link = file.value.path().read_text().split()[1].split(",")[2]
    desk.goto(link)
    desk.get_by_label("Coffee").check()
    desk.get_by_role("button", name="Vote").click()
    expect(desk.get_by_role("row", name="Coffee")).to_contain_text("Your vote")
