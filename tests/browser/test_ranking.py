"""A person ranks choices, in Chromium, with JavaScript and without."""

import pytest
from playwright.sync_api import Page, expect

from tests.support.servers import Site

from .conftest import open_page

pytestmark = pytest.mark.once

DRINKS = ["Tea", "Coffee", "Water"]


@pytest.fixture(scope="module")
def site(share):
    return share("gunicorn polls.wsgi").ready()


@pytest.fixture
def tapper(phone):
    """Somebody with a phone."""
    return phone


@pytest.fixture
def typist(chromium, site):
    """Somebody without a pointer."""
    yield from open_page(chromium, site)


@pytest.fixture
def reader(chromium, site):
    """Somebody without JavaScript."""
    yield from open_page(chromium, site, java_script_enabled=False)


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


def test_it_works(tapper, site):
    question = open_ranking(tapper, site)
    for text in ("Water", "Tea", "Coffee"):
        tapper.get_by_role("button", name=text).tap()
    tapper.get_by_role("button", name="Coffee: move up").tap()
    tapper.get_by_role("button", name="Water: remove").tap()
    vote(tapper)
    assert counted(site, question) == ["Coffee", "Tea"]


def test_it_works_without_javascript(reader, site):
    question = open_ranking(reader, site)
    reader.get_by_label("Rank 1 (best)").select_option("Water")
    reader.get_by_label("Rank 2").select_option("Tea")
    vote(reader)
    assert counted(site, question) == ["Water", "Tea"]


def test_the_keyboard_is_enough(typist, site):
    """The focus stays where the next step is, though every row is made anew."""
    question = open_ranking(typist, site)
    typist.get_by_role("button", name="Tea").focus()
    typist.keyboard.press("Enter")
    expect(typist.get_by_role("button", name="Coffee")).to_be_focused()
    typist.keyboard.press("Space")
    expect(typist.get_by_role("button", name="Water")).to_be_focused()
    typist.keyboard.press("Enter")
    typist.get_by_role("button", name="Water: move up").focus()
    typist.keyboard.press("Enter")
    typist.keyboard.press("Enter")
    expect(typist.get_by_role("button", name="Water: move down")).to_be_focused()
    typist.get_by_role("button", name="Tea: remove").focus()
    typist.keyboard.press("Enter")
    expect(typist.get_by_role("button", name="Coffee: remove")).to_be_focused()
    vote(typist)
    assert counted(site, question) == ["Water", "Coffee"]


def test_a_screen_reader_is_told(typist, site):
    open_ranking(typist, site)
    note = typist.get_by_role("status")
    typist.get_by_role("button", name="Coffee").click()
    expect(note).to_have_text("Coffee: rank 1. Tap what comes next: rank 2.")
    typist.get_by_role("button", name="Coffee: remove").click()
    expect(note).to_contain_text("Coffee: not ranked.")
    expect(typist.get_by_role("list", name="Your ranking")).to_be_empty()


def test_it_takes_no_more_than_the_ballot_does(typist, site):
    open_ranking(typist, site, max_choices=2)
    typist.get_by_role("button", name="Tea").click()
    typist.get_by_role("button", name="Coffee").click()
    expect(typist.get_by_role("button", name="Water")).to_be_disabled()
    hint = "A ballot takes no more. Remove one to rank another."
    expect(typist.get_by_text(hint, exact=True)).to_be_visible()
    typist.get_by_role("button", name="Tea: remove").click()
    expect(typist.get_by_role("button", name="Water")).to_be_enabled()


def test_it_shows_the_order_to_whoever_comes_back(typist, site):
    open_ranking(typist, site)
    typist.get_by_role("button", name="Water").click()
    typist.get_by_role("button", name="Tea").click()
    vote(typist)
    typist.get_by_role("link", name="Change your vote").click()
    rows = typist.get_by_role("list", name="Your ranking").get_by_role("listitem")
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


def test_too_few_are_refused_and_kept(typist, site):
    open_ranking(typist, site, min_choices=2)
    typist.get_by_role("button", name="Water").click()
    typist.get_by_role("button", name="Vote").click()
    expect(typist.get_by_role("alert")).to_have_text("Rank at least 2 choices.")
    rows = typist.get_by_role("list", name="Your ranking").get_by_role("listitem")
    expect(rows).to_contain_text(["Water"])


def test_what_comes_next_stays_under_the_thumb(tapper, site):
    question = site.ask("Which?", *[f"Boat {n}" for n in range(20)], kind="ranked")
    tapper.goto(f"/polls/{question}/")
    following = tapper.get_by_role("button", name="Boat 16")
    following.scroll_into_view_if_needed()
    before = following.bounding_box()["y"]
    tapper.get_by_role("button", name="Boat 15").tap()
    expect(
        tapper.get_by_text("Tap what comes next", exact=False).first
    ).to_be_in_viewport()
    assert abs(following.bounding_box()["y"] - before) < 20


@pytest.mark.parametrize("number", [3, 20])
def test_it_fits_a_phone(tapper, site, number):
    words = ["Donaudampfschifffahrtsgesellschaftskapitän" * 2] * number
    question = site.ask("Which?", *words, kind="ranked")
    tapper.goto(f"/polls/{question}/")
    for _ in range(2):
        tapper.get_by_role("list", name="Not ranked").get_by_role("button").first.tap()
    assert tapper.evaluate("document.documentElement.scrollWidth") <= 360
    for button in tapper.get_by_role("list").get_by_role("button").all():
        box = button.bounding_box()
        assert min(box["width"], box["height"]) >= 44, "too small for a thumb"


@pytest.mark.parametrize(
    "promises", [{"voters": "codes"}, {"closes_at": "2020-01-01 00:00:00+00:00"}]
)
def test_it_is_silent_where_there_is_nothing_to_rank(typist, site, promises):
    """What the browser complains about fails a test."""
    promises |= {"pub_date": "2019-01-01 00:00:00+00:00"}
    open_ranking(typist, site, **promises)
    expect(typist.get_by_role("heading")).to_have_text("What to drink?")


def test_one_choice_is_enough(typist, site):
    question = site.ask("What to drink?", "Tea", kind="ranked")
    typist.goto(f"/polls/{question}/")
    typist.get_by_role("button", name="Tea").click()
    expect(typist.get_by_text("All are ranked.", exact=True)).to_be_visible()
    expect(typist.get_by_role("button", name="Tea: remove")).to_be_focused()
    vote(typist)
    assert counted(site, question) == ["Tea"]


def test_many_rounds_scroll_in_a_box_of_their_own(tapper, site):
    question = site.ask("Which?", *[f"Boat {n}" for n in range(12)], kind="ranked")
    site.shell(
        f"from polls.models import Question; from polls.voting.cast import cast\nboats = Question.objects.get(pk={question})\n"
        "ids = list(boats.choice_set.values_list('pk', flat=True))\n"
        "for n, pk in enumerate(ids): cast(boats, f'{n:032}', [pk])"
    )
    tapper.goto(f"/polls/{question}/results/")
    box = tapper.get_by_role("region", name="Rounds")
    assert box.evaluate("box => box.scrollWidth > box.clientWidth")
    assert tapper.evaluate("document.documentElement.scrollWidth") <= 360
    box.evaluate("box => box.scrollBy(900, 0)")
    name = box.get_by_role("rowheader", name="Boat 3").bounding_box()
    assert 0 <= name["x"] < 40, "the names stay in sight"
