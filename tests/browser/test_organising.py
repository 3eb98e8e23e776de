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
    log_in(page, site)
    write_question(page)
    page.goto("/admin/polls/question/")
    row = page.get_by_role("row", name="Tea or coffee?")
    row.get_by_role("checkbox").check()
    page.get_by_label("Action:").select_option("close_now")
    page.get_by_role("button", name="Run").or_(
        page.get_by_role("button", name="Go")
    ).click()
    expect(page.get_by_text("Closed: 1.")).to_be_visible()
    expect(row).to_contain_text("Closed")
