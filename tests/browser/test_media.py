"""The pages where a system sets the colours, on paper, and where nothing is to move."""

import pytest
from playwright.sync_api import expect

from tests.support.people import Voter

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def site(share):
    return share("gunicorn polls.wsgi").ready()


@pytest.fixture
def question(site):
    question = site.ask("Which colour?", "Red", "Blue")
    assert Voter(site.base).open_and_vote(question).status == 302
    return question


def style(place, name):
    return place.evaluate("(one, name) => getComputedStyle(one)[name]", name)


def test_in_forced_colours_buttons_and_bars_have_edges(visitor, question):
    visitor.emulate_media(forced_colors="active")
    visitor.goto(f"/polls/{question}/")
    button = visitor.get_by_role("button", name="Vote")
    assert style(button, "borderStyle") == "solid"
    assert style(button, "borderColor") != style(button, "backgroundColor")
    # What the browser would paint behind the words hides them.
    assert style(button, "forcedColorAdjust") == "none"
    visitor.goto(f"/polls/{question}/results/")
    for place in (visitor.locator("meter").first, visitor.locator(".pill")):
        assert style(place, "borderStyle") == "solid"
        assert style(place, "borderWidth") == "1px"


def test_in_forced_colours_an_accent_gives_way(visitor, share):
    """The words on a button are in the system's colour, and so has its ground to be."""
    site = share("gunicorn polls.wsgi", ACCENT_COLOUR="#c2185b").ready()
    visitor.goto(f"{site.base}/polls/{site.ask()}/")
    button = visitor.get_by_role("button", name="Vote")
    assert style(button, "backgroundColor") == "rgb(194, 24, 91)"
    visitor.emulate_media(forced_colors="active")
    system = (
        "document.body.style.color = 'Highlight', getComputedStyle(document.body).color"
    )
    ground = style(button, "backgroundColor")
    assert ground == visitor.evaluate(system) != "rgb(194, 24, 91)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_paper_is_white_and_has_no_controls(visitor, site, question, scheme):
    visitor.emulate_media(media="print", color_scheme=scheme)
    visitor.goto(f"/polls/{question}/results/")
    assert style(visitor.locator("body"), "backgroundColor") == "rgb(255, 255, 255)"
    assert style(visitor.locator("body"), "color") == "rgb(0, 0, 0)"
    for words in ("Vote", "Show it on a wall", "Log in", "Check a receipt"):
        expect(visitor.get_by_role("link", name=words, exact=True)).to_be_hidden()
    expect(
        visitor.get_by_text(f"{site.base}/polls/{question}/results/")
    ).to_be_visible()
    expect(visitor.get_by_text("100.0%")).to_be_visible()
    visitor.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(visitor.locator("[data-printed]")).to_contain_text("20")


def test_the_wall_is_offered_where_there_is_room_for_one(visitor, question):
    visitor.goto(f"/polls/{question}/results/")
    wall = visitor.get_by_role("link", name="Show it on a wall")
    expect(wall).to_be_visible()
    for width, height in ((390, 844), (844, 390)):
        visitor.set_viewport_size({"width": width, "height": height})
        expect(wall).to_be_hidden()


def test_nothing_moves_where_that_is_asked_for(visitor, question):
    visitor.emulate_media(reduced_motion="reduce")
    visitor.goto(f"/polls/{question}/")
    visitor.get_by_label("Red").check()
    visitor.get_by_role("button", name="Vote").click()
    assert visitor.evaluate("document.getAnimations().length") == 0


def test_a_receipt_can_be_copied(visitor, site, question):
    visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visitor.goto(f"/polls/{question}/")
    visitor.get_by_label("Red").check()
    visitor.get_by_role("button", name="Vote").click()
    visitor.get_by_role("button", name="Copy").click()
    expect(visitor.get_by_role("button", name="Copied")).to_be_visible()
    receipt = visitor.locator(".receipt a").text_content()
    assert visitor.evaluate("navigator.clipboard.readText()") == receipt


def test_without_a_script_nothing_offers_to_copy(reader, question):
    reader.goto(f"/polls/{question}/")
    reader.get_by_label("Red").check()
    reader.get_by_role("button", name="Vote").click()
    expect(reader.locator(".receipt a")).to_be_visible()
    expect(reader.get_by_role("button", name="Copy")).to_be_hidden()
