"""An organiser runs a poll in the admin, in Chromium, under the strict security policy."""

import pytest
from playwright.sync_api import Page, expect
from servers import Site

pytestmark = pytest.mark.once


def log_in(page: Page, site: Site) -> None:
    site.shell(
        "from django.contrib.auth.models import User\n"
        "User.objects.create_superuser('olga', password='a good password')"
    )
    page.goto("/admin/")
    page.get_by_label("Username").fill("olga")
    page.get_by_label("Password").fill("a good password")
    page.get_by_role("button", name="Log in").click()


def write_question(page: Page) -> None:
    page.goto("/admin/polls/question/add/")
    page.get_by_label("Question:").fill("Tea or coffee?")
    for n, text in enumerate(["Tea", "Coffee"]):
        page.locator(f"[name=choice_set-{n}-choice_text]").fill(text)
    page.get_by_role("button", name="Save", exact=True).click()


def test_it_works(page, site):
    log_in(page, site)
    write_question(page)
    page.get_by_role("link", name="Tea or coffee?").first.click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="View on site").click(modifiers=["Control"])
    public = opened.value
    public.get_by_label("Coffee").check()
    public.get_by_role("button", name="Vote").click()
    expect(public.get_by_role("row", name="Coffee")).to_contain_text("Your vote")


def test_close_now_ends_the_vote(page, site):
    """From the list and from the question's own page; both ask first."""
    log_in(page, site)
    write_question(page)
    page.goto("/admin/polls/question/")
    row = page.get_by_role("row", name="Tea or coffee?")
    row.get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option("close_now")
    page.get_by_role("button", name="Run").or_(
        page.get_by_role("button", name="Go")
    ).click()
    page.get_by_role("link", name="No, go back").click()
    expect(row).to_contain_text("Open")
    row.get_by_role("link", name="Tea or coffee?").click()
    page.get_by_role("button", name="Close now").click()
    expect(page.get_by_text("Tea or coffee? (0 ballots)")).to_be_visible()
    page.get_by_role("button", name="Close now").click()
    expect(page.get_by_text("Closed: 1.")).to_be_visible()
    expect(row).to_contain_text("Closed")


def test_what_people_voted_on_is_text_and_can_be_copied(page, site):
    log_in(page, site)
    write_question(page)
    site.shell(
        "from polls.models import Question\n"
        "question = Question.objects.get(question_text='Tea or coffee?')\n"
        "question.cast('a' * 32, [question.choice_set.first().pk])"
    )
    page.get_by_role("link", name="Tea or coffee?").first.click()
    expect(
        page.get_by_text("The wording is what people have voted on.")
    ).to_be_visible()
    expect(page.locator("[name=question_text]")).to_have_count(0)
    page.get_by_role("button", name="Duplicate").click()
    expect(page.get_by_text("This is the copy.")).to_be_visible()
    page.get_by_label("Question:").fill("Tea or cocoa?")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_role("link", name="Tea or cocoa?").first).to_be_visible()


def test_numbers_show_with_the_kinds_that_have_them(page, site):
    log_in(page, site)
    page.goto("/admin/polls/question/add/")
    expect(page.get_by_label("At least:")).to_be_hidden()
    page.get_by_label("Kind:").select_option("several")
    expect(page.get_by_label("At least:")).to_be_visible()


def test_a_printed_code_votes_once(page, site):
    log_in(page, site)
    write_question(page)
    site.shell(
        "from polls.models import Question; Question.objects.update(voters='codes')"
    )
    page.get_by_role("link", name="Tea or coffee?").first.click()
    page.get_by_role("link", name="Invitation codes").click()
    page.get_by_label("How many:").fill("2")
    page.get_by_role("button", name="Make and print").click()
    expect(page.get_by_text("These codes are not shown again.")).to_be_visible()
    with page.expect_download() as file:
        page.get_by_role("button", name="Download as CSV").click()
    link = file.value.path().read_text().split()[1].split(",")[2]
    page.goto(link)
    page.get_by_label("Coffee").check()
    page.get_by_role("button", name="Vote").click()
    expect(page.get_by_role("row", name="Coffee")).to_contain_text("Your vote")
