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
    row.get_by_role("link", name=text, exact=True).click()
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


def copied(page: Page) -> str:
    """Return what is in the clipboard."""
    return page.evaluate("navigator.clipboard.readText()")


def test_a_link_is_copied_three_clicks_after_the_log_in(
    visitor: Page, site: Site, text: str
):
    """Of the poll that is open, and of a new one."""
    site.add_account(*OLGA, organiser=True)
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.goto("/admin/")
    visitor.get_by_label("Username").fill(OLGA[0])
    visitor.get_by_label("Password").fill(OLGA[1])
    visitor.get_by_role("button", name="Log in").click()
    visitor.get_by_role("link", name="Add a poll").first.click()
    visitor.get_by_label("Question:").fill(text)
    visitor.get_by_label("Choices:").fill("Tea\nCoffee")
    visitor.get_by_role("button", name="Save", exact=True).click()
    visitor.get_by_role("button", name="Copy").click()
    expect(visitor.get_by_role("button", name="Copied")).to_be_visible()
    link = f"{site.base}/polls/{find(site, text)}/"
    assert copied(visitor) == link
    visitor.evaluate("navigator.clipboard.writeText('')")
    visitor.goto("/admin/polls/question/")
    visitor.get_by_role("link", name=f"Share: {text}").click()
    visitor.get_by_role("button", name="Copy").click()
    assert copied(visitor) == link


@pytest.mark.parametrize("width", [1280, 1024, 360])
def test_the_list_fits_the_page_whatever_words_there_are(desk, width):
    write_question(desk, secrets.token_hex(100))
    desk.set_viewport_size({"width": width, "height": 800})
    for path in ("", "?q=a"):
        desk.goto(f"/admin/polls/question/{path}")
        # The table has a box of its own that would scroll, too.
        wide = "e => e.scrollWidth - e.clientWidth"
        assert desk.locator("html").evaluate(wide) == 0
        assert desk.locator("#changelist .results").evaluate(wide) == 0
        expect(desk.get_by_role("link", name="Share:").first).to_be_visible()


def test_what_was_typed_is_not_lost_by_leaving(visitor, site, text, cookies):
    for name, value in cookies.items():
        visitor.context.add_cookies([{"name": name, "value": value, "url": site.base}])
    write_question(visitor, text)
    visitor.get_by_role("link", name="Edit").click()
    asked: list[str] = []
    visitor.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.dismiss()))
    visitor.get_by_label("Choices:").fill("Tea\nWater\nCoffee")
    visitor.get_by_role("link", name="History").click()
    expect(visitor.get_by_label("Choices:")).to_have_value("Tea\nWater\nCoffee")
    assert asked == ["beforeunload"]
    # The buttons of the page save first.
    visitor.get_by_role("button", name="Share").click()
    expect(visitor.get_by_text("What you changed was saved first.")).to_be_visible()
    visitor.get_by_role("link", name="Edit").click()
    visitor.get_by_role("link", name="History").click()
    expect(visitor.get_by_role("heading", name="Change history")).to_be_visible()
    assert asked == ["beforeunload"]


def test_the_enter_key_saves(desk, text):
    write_question(desk, text)
    desk.get_by_role("link", name="Edit").click()
    desk.get_by_label("Question:").press("Enter")
    expect(desk.get_by_text("was changed successfully")).to_be_visible()


def test_usual_moments_are_a_button_away(visitor, site, cookies, text):
    for name, value in cookies.items():
        visitor.context.add_cookies([{"name": name, "value": value, "url": site.base}])
    visitor.clock.set_fixed_time("2031-02-03T18:30:00Z")
    visitor.goto("/admin/polls/question/add/")
    day, time = visitor.get_by_label("Closes: day"), visitor.get_by_label(
        "Closes: time"
    )
    closes = visitor.locator(".field-closes_at")
    for name, expected in {
        "In an hour": ("2031-02-03", "19:30"),
        "Tonight": ("2031-02-03", "20:00"),
        "In a week": ("2031-02-10", "18:30"),
        "No end": ("", ""),
    }.items():
        closes.get_by_role("button", name=name).click()
        expect(day).to_have_value(expected[0])
        expect(time).to_have_value(expected[1])


def test_a_preview_is_looked_through(desk, text):
    """Ballot, results and wall of a poll that opens later, and back."""
    desk.goto("/admin/polls/question/add/")
    desk.get_by_label("Question:").fill(text)
    desk.get_by_label("Choices:").fill("Tea\nCoffee")
    desk.get_by_label("Opens: day").fill("2099-01-01")
    desk.get_by_role("button", name="Save", exact=True).click()
    desk.get_by_role("link", name="Ballot").click()
    desk.get_by_label("Coffee").check()
    desk.get_by_role("button", name="Vote").click()
    expect(desk.get_by_text("A preview takes no votes.")).to_be_visible()
    for name in ("Results", "Wall"):
        desk.get_by_role("navigation", name="Preview").get_by_role(
            "link", name=name
        ).click()
        expect(desk.get_by_text("Preview: no votes are taken.")).to_be_visible()
        expect(desk.get_by_role("heading", name=text)).to_be_visible()
    desk.get_by_role("link", name="Back to the admin").click()
    expect(desk.get_by_role("heading", name="Share")).to_be_visible()


def test_every_edge_of_a_slip_is_on_the_paper(desk, text):
    write_question(desk, text)
    desk.get_by_role("link", name="Edit").click()
    desk.get_by_label("Who votes:").select_option("codes")
    desk.get_by_role("button", name="Save and continue editing").click()
    desk.get_by_role("button", name="Invitation codes").click()
    desk.get_by_label("How many:").fill("3")
    desk.get_by_role("button", name="Make and print").click()
    # A4 without its margins.
    desk.set_viewport_size({"width": 718, "height": 1047})
    desk.emulate_media(media="print")
    right = desk.locator(".slips li").evaluate_all(
        "slips => Math.max(...slips.map(slip => slip.getBoundingClientRect().right))"
    )
    assert right <= 718


def test_void_all_asks_first(desk, site, text):
    write_question(desk, text)
    question = find(site, text)
    with site.database() as run:
        run(f"UPDATE polls_question SET voters = 'codes' WHERE id = {question}")
    desk.goto(f"/admin/polls/question/{question}/codes/")
    desk.get_by_label("How many:").fill("3")
    desk.get_by_role("button", name="Make and print").click()
    desk.get_by_role("link", name="Back to the codes").click()
    desk.get_by_role("button", name="Void all that have not voted").click()
    expect(desk.get_by_text("The other 3 codes will not vote any more")).to_be_visible()
    desk.get_by_role("link", name="No, go back").click()
    desk.get_by_role("button", name="Void all that have not voted").click()
    desk.get_by_role("button", name="Void all", exact=True).click()
    expect(desk.get_by_text("Done: no code votes any more")).to_be_visible()
