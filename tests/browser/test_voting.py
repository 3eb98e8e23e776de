"""A person votes, in Chromium, with JavaScript and without."""

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.once


def vote(page: Page, question: int, choice: str) -> None:
    page.goto(f"/polls/{question}/")
    page.get_by_label(choice).check()
    page.get_by_role("button").click()


def test_it_works(page, site):
    question = site.ask()
    page.goto("/")
    page.get_by_role("link", name="Which colour?").click()
    page.get_by_label("Blue").check()
    page.get_by_role("button", name="Vote", exact=True).click()
    expect(page).to_have_url(f"{site.base}/polls/{question}/results/")
    expect(page.get_by_role("row", name="Blue")).to_contain_text("Your vote")
    expect(page.get_by_role("row", name="Blue")).to_contain_text("100.0%")
    assert site.counts(question) == (1, 1)


def test_a_vote_can_be_changed(page, site):
    question = site.ask()
    vote(page, question, "Red")
    page.get_by_role("link", name="Change your vote").click()
    expect(page.get_by_label("Red")).to_be_checked()
    page.get_by_label("Blue").check()
    page.get_by_role("button", name="Change your vote").click()
    expect(page.get_by_role("row", name="Blue")).to_contain_text("Your vote")
    expect(page.get_by_role("row", name="Red")).to_contain_text("0.0%")
    assert site.counts(question) == (1, 1)


def test_a_double_click_is_one_vote(page, site):
    question = site.ask()
    page.goto(f"/polls/{question}/")
    page.get_by_label("Red").check()
    page.get_by_role("button").dblclick()
    page.wait_for_url("**/results/")
    assert site.counts(question) == (1, 1)


def test_forgetting_to_choose_is_said_where_the_eyes_are(page, site):
    question = site.ask()
    page.goto(f"/polls/{question}/")
    page.get_by_role("button").click()
    alert = page.get_by_role("alert")
    expect(alert).to_have_text("You didn't select a choice.")
    expect(alert).to_be_focused()
    assert page.title().startswith("Error: ")
    assert site.counts(question) == (0, 0)


def test_a_poll_that_closes_meanwhile_says_so(page, site):
    question = site.ask()
    page.goto(f"/polls/{question}/")
    page.get_by_label("Red").check()
    site.close()
    page.get_by_role("button").click()
    expect(page.get_by_role("alert")).to_contain_text("This poll closed at")
    expect(page.get_by_role("alert")).to_contain_text("Your vote was not counted.")
    assert site.counts(question) == (0, 0)


def test_the_keyboard_is_enough(page, site):
    question = site.ask()
    page.goto(f"/polls/{question}/")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    expect(page.get_by_label("Red")).to_be_checked()
    page.keyboard.press("Enter")
    page.wait_for_url("**/results/")
    assert site.counts(question) == (1, 1)


def test_markup_is_shown_not_run(page, site):
    question = site.ask("<img src=x onerror=alert(1)>", "<b>Red</b>", "Blue")
    page.goto(f"/polls/{question}/")
    expect(page.get_by_role("heading")).to_have_text("<img src=x onerror=alert(1)>")
    expect(page.get_by_label("<b>Red</b>")).to_be_visible()


def test_it_fits_a_phone(phone, site):
    words = ["Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen" * 3, "Blue"]
    question = site.ask("What a " + "long" * 40 + " word?", *words)
    for path in ("/polls/", f"/polls/{question}/", f"/polls/{question}/results/"):
        phone.goto(path)
        width = phone.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, path
    phone.goto(f"/polls/{question}/")
    box = phone.get_by_text("Blue").locator("xpath=..").bounding_box()
    assert box["height"] >= 44, "too small for a thumb"
    phone.get_by_text("Blue").tap()
    phone.get_by_role("button").tap()
    expect(phone.get_by_role("row", name="Blue")).to_contain_text("Your vote")
