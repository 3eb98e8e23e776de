"""A person ranks choices, in Chromium, with JavaScript and without."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.servers import Site

pytestmark = pytest.mark.once

DRINKS = ["Tea", "Coffee", "Water"]


@pytest.fixture(scope="module")
def site(share):
    return share("gunicorn polls.wsgi").ready()


def open_ranking(page: Page, site: Site, **promises: object) -> int:
    question = site.ask("What to drink?", *DRINKS, kind="ranked", **promises)
    page.goto(f"/polls/{question}/")
    return question


def vote(page: Page) -> None:
    page.get_by_role("button", name="Vote", exact=True).click()
    page.wait_for_url("**/results/")


def counted(site: Site, question: int) -> list[str]:
    """Return the marks of the one ballot, from the database."""
    marks = (
        "SELECT choice_text FROM polls_mark"
        " JOIN polls_choice ON polls_choice.id = choice_id"
        " WHERE question_id = %s ORDER BY rank"
    )
    with site.database() as run:
        return [text for (text,) in run(marks, question)]


def test_it_works(phone, site):
    question = open_ranking(phone, site)
    for text in ("Water", "Tea", "Coffee"):
        phone.get_by_role("button", name=text).tap()
    phone.get_by_role("button", name="Coffee: move up").tap()
    phone.get_by_role("button", name="Water: remove").tap()
    vote(phone)
    assert counted(site, question) == ["Coffee", "Tea"]


def test_it_works_without_javascript(reader, site):
    question = open_ranking(reader, site)
    reader.get_by_label("Rank 1 (best)").select_option("Water")
    reader.get_by_label("Rank 2").select_option("Tea")
    vote(reader)
    assert counted(site, question) == ["Water", "Tea"]


def test_the_keyboard_is_enough(visitor, site):
    """The focus stays where the next step is, though every row is made anew."""
    question = open_ranking(visitor, site)
    visitor.get_by_role("button", name="Tea").focus()
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("button", name="Coffee")).to_be_focused()
    visitor.keyboard.press("Space")
    expect(visitor.get_by_role("button", name="Water")).to_be_focused()
    visitor.keyboard.press("Enter")
    visitor.get_by_role("button", name="Water: move up").focus()
    visitor.keyboard.press("Enter")
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("button", name="Water: move down")).to_be_focused()
    visitor.get_by_role("button", name="Tea: remove").focus()
    visitor.keyboard.press("Enter")
    expect(visitor.get_by_role("button", name="Coffee: remove")).to_be_focused()
    vote(visitor)
    assert counted(site, question) == ["Water", "Coffee"]


def test_a_screen_reader_is_told(visitor, site):
    open_ranking(visitor, site)
    note = visitor.get_by_role("main").get_by_role("status")
    visitor.get_by_role("button", name="Coffee").click()
    expect(note).to_have_text("Coffee: rank 1. Tap what comes next: rank 2.")
    visitor.get_by_role("button", name="Coffee: remove").click()
    expect(note).to_contain_text("Coffee: not ranked.")
    expect(visitor.get_by_role("list", name="Your ranking")).to_be_empty()


def test_it_takes_no_more_than_the_ballot_does(visitor, site):
    open_ranking(visitor, site, max_choices=2)
    visitor.get_by_role("button", name="Tea").click()
    visitor.get_by_role("button", name="Coffee").click()
    expect(visitor.get_by_role("button", name="Water")).to_be_disabled()
    hint = "A ballot takes no more. Remove one to rank another."
    expect(visitor.get_by_text(hint, exact=True)).to_be_visible()
    visitor.get_by_role("button", name="Tea: remove").click()
    expect(visitor.get_by_role("button", name="Water")).to_be_enabled()


def test_it_shows_the_order_to_whoever_comes_back(visitor, site):
    open_ranking(visitor, site)
    visitor.get_by_role("button", name="Water").click()
    visitor.get_by_role("button", name="Tea").click()
    vote(visitor)
    visitor.get_by_role("link", name="Change your vote").click()
    rows = visitor.get_by_role("list", name="Your ranking").get_by_role("listitem")
    expect(rows).to_contain_text(["Water", "Tea"])


def test_a_mistake_keeps_what_was_sent(reader, site):
    question = open_ranking(reader, site)
    reader.get_by_label("Rank 1 (best)").select_option("Tea")
    reader.get_by_label("Rank 3").select_option("Water")
    reader.get_by_role("button", name="Vote").click()
    expect(reader.get_by_role("alert")).to_contain_text("Rank 2 is empty.")
    chosen = reader.locator("option:checked")
    expect(chosen).to_have_text(["Tea", "–", "Water"])
    assert counted(site, question) == []


def test_too_few_are_refused_and_kept(visitor, site):
    open_ranking(visitor, site, min_choices=2)
    visitor.get_by_role("button", name="Water").click()
    visitor.get_by_role("button", name="Vote").click()
    expect(visitor.get_by_role("alert")).to_contain_text("Rank at least 2 choices.")
    visitor.get_by_role("alert").get_by_role("link").click()
    expect(visitor.get_by_role("button", name="Tea")).to_be_focused()
    rows = visitor.get_by_role("list", name="Your ranking").get_by_role("listitem")
    expect(rows).to_contain_text(["Water"])


def test_what_comes_next_stays_under_the_thumb(phone, site):
    question = site.ask("Which?", *[f"Boat {n}" for n in range(20)], kind="ranked")
    phone.goto(f"/polls/{question}/")
    following = phone.get_by_role("button", name="Boat 16")
    following.scroll_into_view_if_needed()
    before = following.bounding_box()["y"]
    phone.get_by_role("button", name="Boat 15").tap()
    expect(
        phone.get_by_text("Tap what comes next", exact=False).first
    ).to_be_in_viewport()
    assert abs(following.bounding_box()["y"] - before) < 20


@pytest.mark.parametrize("number", [3, 20])
def test_it_fits_a_phone(phone, site, number):
    words = ["Donaudampfschifffahrtsgesellschaftskapitän" * 2] * number
    question = site.ask("Which?", *words, kind="ranked")
    phone.goto(f"/polls/{question}/")
    for _ in range(2):
        phone.get_by_role("list", name="Not ranked").get_by_role("button").first.tap()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
    for button in phone.get_by_role("list").get_by_role("button").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 44, "too small for a thumb"


@pytest.mark.parametrize(
    "promises", [{"voters": "codes"}, {"closes_at": "2020-01-01 00:00:00+00:00"}]
)
def test_it_is_silent_where_there_is_nothing_to_rank(visitor, site, promises):
    """What the browser complains about fails a test."""
    promises |= {"pub_date": "2019-01-01 00:00:00+00:00"}
    open_ranking(visitor, site, **promises)
    expect(visitor.get_by_role("heading")).to_have_text("What to drink?")


def test_one_choice_is_enough(visitor, site):
    question = site.ask("What to drink?", "Tea", kind="ranked")
    visitor.goto(f"/polls/{question}/")
    visitor.get_by_role("button", name="Tea").click()
    expect(visitor.get_by_text("All are ranked.", exact=True)).to_be_visible()
    expect(visitor.get_by_role("button", name="Tea: remove")).to_be_focused()
    vote(visitor)
    assert counted(site, question) == ["Tea"]


def test_many_rounds_fit_a_phone(phone, site):
    question = site.ask("Which?", *[f"Boat {n}" for n in range(12)], kind="ranked")
    site.shell(
        f"from polls.models import Question; from polls.voting.cast import cast\nboats = Question.objects.get(pk={question})\n"
        "ids = list(boats.choice_set.values_list('pk', flat=True))\n"
        "for n, pk in enumerate(ids): cast(boats, f'{n:032}', [pk])"
    )
    phone.goto(f"/polls/{question}/results/")
    phone.get_by_text("Rounds", exact=True).tap()
    box = phone.get_by_role("region", name="Rounds")
    expect(box.get_by_role("rowheader", name="Boat 0")).to_be_in_viewport()
    assert box.evaluate("box => box.scrollWidth") <= 360
    assert phone.evaluate("document.documentElement.scrollWidth") <= 360
