"""People watch the results while others vote, in Chromium."""

import os
import re
import signal
import urllib.parse

import pytest
from playwright.sync_api import expect

from tests.support.people import Voter
from tests.support.waiting import wait_until

pytestmark = pytest.mark.once

SERVERS = [
    "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
    "gunicorn polls.wsgi",
]


@pytest.fixture(scope="module", params=SERVERS, ids=["asgi", "wsgi"])
def site(request, share):
    return share(request.param).ready()


HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def vote(site, question, choice=0, voter=None):
    voter = voter or Voter(site.base)
    assert voter.open_and_vote(question, choice).status == 302
    return voter


def test_it_works(visitor, site):
    """Two votes: numbers, bars and the words of the state move by themselves."""
    question = site.ask()
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    vote(site, question)
    vote(site, question, choice=1)
    expect(visitor.get_by_text("2 ballots")).to_be_visible()
    row = visitor.get_by_role("row", name="Red")
    expect(row).to_contain_text("50.0%")
    assert row.locator("meter").evaluate("meter => meter.value") == 50


def test_totals_that_go_down_are_shown(visitor, site):
    question = site.ask()
    voter = vote(site, question)
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_role("row", name="Red")).to_contain_text("100.0%")
    vote(site, question, choice=1, voter=voter)
    expect(visitor.get_by_role("row", name="Red")).to_contain_text("0.0%")
    expect(visitor.get_by_role("row", name="Blue")).to_contain_text("100.0%")


def test_a_screen_reader_is_told(visitor, site):
    question = site.ask()
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    vote(site, question)
    news = visitor.locator("[data-announcer]")
    expect(news).to_have_text("1 ballot. Red leads with 100%")


def test_a_poll_that_closes_under_its_viewers_says_so(visitor, site):
    question = site.ask()
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    site.close(question)
    expect(visitor.get_by_text("Closed")).to_be_visible()
    expect(visitor.get_by_role("link", name="Vote")).to_have_count(0)


@pytest.mark.parametrize("site", SERVERS[:1], indirect=True)
def test_a_poll_that_closes_a_second_time_in_one_tab_says_so_again(visitor, site):
    question = site.ask()
    visitor.goto(f"/polls/{question}/results/")
    vote_link = visitor.get_by_role("link", name="Vote")
    for _ in range(2):
        expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
        site.close(question)
        # The page itself is renewed: numbers alone would leave the button.
        expect(vote_link).to_have_count(0)
        with site.database() as run:
            run("UPDATE polls_question SET closes_at = NULL")
        wait_until(lambda: visitor.reload() and vote_link.count())


def rank(site, question, *texts):
    """Vote with a ranking on a question with the choices Tea, Coffee and Water."""
    choices = ["Tea", "Coffee", "Water"]
    voter = Voter(site.base)
    page = voter.get(f"/polls/{question}/").text
    voter.token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page).group(1)
    ids = re.findall(r'<option value="(\d+)"', page)
    ranks = {f"rank{n}": ids[choices.index(t)] for n, t in enumerate(texts, 1)}
    fields = urllib.parse.urlencode({"csrfmiddlewaretoken": voter.token, **ranks})
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    path = f"/polls/{question}/vote/"
    assert voter.request("POST", path, fields.encode(), **form).status == 302


def test_rounds_move(visitor, site):
    """One round, then two with another one ahead; and the picture follows."""
    question = site.ask("What?", "Tea", "Coffee", "Water", kind="ranked")
    rank(site, question, "Tea")
    visitor.goto(f"/polls/{question}/results/")
    now = visitor.locator("[data-outcome]")
    expect(now).to_have_text("Tea would be elected now, with 1 of 1 ballot in round 1.")
    drawn = visitor.locator("img").get_attribute("src")
    rank(site, question, "Coffee")
    rank(site, question, "Water", "Coffee")
    words = (
        "Coffee would be elected now, with 2 of 3 ballots in round 2. "
        "In round 1 Tea, Coffee and Water were tied, and the rule for ties decided."
    )
    expect(now).to_have_text(words)
    visitor.get_by_text("Rounds", exact=True).click()
    told = visitor.locator("[data-rounds]")
    rounds = told.get_by_role("row")
    tie = "Round 1: Tea, Coffee and Water were tied; Water goes out by the rule below."
    table = ["Choice12", "Coffee Ahead12", "Tea11", "Water1out", "Exhausted00"]
    expect(rounds).to_have_text(table)
    expect(told).to_contain_text(tie)
    visitor.locator("img").scroll_into_view_if_needed()
    expect(visitor.locator("img")).not_to_have_attribute("src", drawn)
    # Once it has come.
    expect(visitor.locator("img")).to_have_js_property("naturalWidth", 640)
    visitor.reload()
    expect(now).to_have_text(words)
    expect(told).to_contain_text(tie)


def test_results_that_become_hidden_go_away(visitor, site):
    """And a viewer who came for them is not left with the last numbers."""
    question = site.ask()
    vote(site, question)
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    with site.database() as run:
        run("UPDATE polls_question SET results = 'organisers'")
    expect(visitor.get_by_text("Only the organisers see")).to_be_visible()
    expect(visitor.get_by_text("100.0%")).to_have_count(0)
    expect(visitor.get_by_text("1 ballot")).to_be_visible()


def test_who_reads_keeps_the_place_when_a_poll_closes(visitor, site):
    """The page is not loaded again: focus, scroll and what is unfolded stay, and its end is said."""
    question = site.ask("Which?", *(f"Choice {n}" for n in range(30)))
    loads = []
    visitor.on("load", lambda _: loads.append(1))
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    summary = visitor.locator("summary").first
    summary.press("Enter")
    place = visitor.evaluate("scrollY")
    assert place > 100
    site.close(question)
    said = visitor.get_by_role("status").filter(has_text="This poll has just closed")
    expect(said).to_have_count(1)
    expect(visitor.get_by_role("link", name="Vote")).to_have_count(0)
    expect(visitor.locator("summary").first).to_be_focused()
    expect(visitor.locator("details").first).to_have_attribute("open", "")
    assert abs(visitor.evaluate("scrollY") - place) < 200
    assert loads == [1]


@pytest.mark.parametrize("site", SERVERS[:1], indirect=True)
def test_a_page_that_is_renewed_keeps_the_zone_of_the_reader(chromium, site):
    question = site.ask()
    context = chromium.new_context(base_url=site.base, timezone_id="Asia/Tokyo")
    visitor = context.new_page()
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    site.close(question)
    expect(visitor.locator("main time")).to_contain_text("GMT+9")
    context.close()


@pytest.mark.parametrize("site", SERVERS[:1], indirect=True)
def test_numbers_move_in_the_language_of_the_page(chromium, site):
    question = site.ask()
    with site.database() as run:
        total = "UPDATE polls_choice SET votes = 1203, first_marks = 1203, revision = 1 WHERE id = (SELECT min(id) FROM polls_choice WHERE question_id = %s)"
        run(total, question)
    page = chromium.new_context(base_url=site.base, locale="de").new_page()
    page.goto(f"/polls/{question}/share/")
    expect(page.locator("[data-number]")).to_have_text("1.203")
    page.wait_for_timeout(1000)
    vote(site, question)
    expect(page.locator("[data-number]")).to_have_text("1.204")
    page.context.close()


def refresh(page):
    page.get_by_role("link", name="Refresh").click()
    return page


def test_without_javascript_there_is_a_refresh_link(reader, site):
    question = site.ask()
    reader.goto(f"/polls/{question}/results/")
    expect(reader.get_by_text("0 ballots")).to_be_visible()
    vote(site, question)
    wait_until(lambda: refresh(reader).get_by_text("1 ballot", exact=True).count())


def test_a_restart_of_the_server_is_survived(chromium, site):
    page = chromium.new_context(base_url=site.base).new_page()
    question = site.ask()
    page.goto(f"/polls/{question}/results/")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    site.stop()
    expect(page.get_by_text("Offline, trying again")).to_be_visible()
    site.restart().ready()
    vote(site, question)
    expect(page.get_by_text("1 ballot", exact=True)).to_be_visible(timeout=20000)
    page.context.close()


def test_a_killed_worker_is_survived(chromium, site):
    page = chromium.new_context(base_url=site.base).new_page()
    question = site.ask()
    page.goto(f"/polls/{question}/results/")
    expect(page.get_by_text("Live", exact=True)).to_be_visible()
    for worker in site.workers():
        os.kill(worker, signal.SIGKILL)
    vote(site.ready(), question)
    expect(page.get_by_text("1 ballot", exact=True)).to_be_visible()
    page.context.close()


def test_a_hidden_tab_rests_and_catches_up(visitor, site):
    """Chromium shows every tab of a headless window: the page is told that it is hidden."""
    question = site.ask()
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    visitor.evaluate(HIDE, True)
    asked = []
    visitor.on("request", lambda request: asked.append(request.url))
    vote(site, question)
    visitor.wait_for_timeout(3500)
    assert not asked
    expect(visitor.get_by_text("0 ballots")).to_be_visible()
    visitor.evaluate(HIDE, False)
    expect(visitor.get_by_text("1 ballot", exact=True)).to_be_visible(timeout=3000)


def test_the_wall_moves(visitor, site):
    question = site.ask()
    visitor.goto(f"/polls/{question}/share/")
    expect(visitor.get_by_role("img", name="QR code")).to_be_visible()
    address = visitor.get_by_role("link", name=f"{site.base[7:]}/{question}")
    expect(address).to_have_attribute("href", f"{site.base}/polls/{question}/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    vote(site, question)
    expect(visitor.locator("[data-number]")).to_have_text("1")
    expect(visitor.get_by_text("Red leads with 100%")).to_be_visible()


def test_the_controls_of_the_wall_leave_a_full_screen(visitor, site):
    visitor.goto(f"/polls/{site.ask()}/share/")
    button = visitor.get_by_role("button", name="Full screen")
    expect(button).to_be_visible()
    visitor.keyboard.press("f")
    expect(visitor.locator(":root:fullscreen")).to_have_count(0)
    button.press("Enter")
    expect(visitor.locator(":root:fullscreen")).to_have_count(1)
    controls = visitor.locator(".presenter")
    expect(controls).to_have_css("opacity", "1")
    visitor.evaluate("document.activeElement.blur()")
    expect(controls).to_have_css("opacity", "0")
    button.focus()
    expect(controls).to_have_css("opacity", "1")
    visitor.keyboard.press("Enter")
    expect(visitor.locator(":root:fullscreen")).to_have_count(0)
    visitor.emulate_media(media="print")
    expect(controls).to_be_hidden()


def test_the_results_on_the_wall_can_be_hidden_for_a_while(visitor, site):
    question = site.ask()
    vote(site, question)
    visitor.goto(f"/polls/{question}/share/")
    visitor.get_by_role("button", name="Hide the results").click()
    for words in ("100.0%", "Red leads with 100%"):
        expect(visitor.get_by_text(words)).to_be_hidden()
    expect(
        visitor.get_by_text("The results are hidden for the moment.")
    ).to_be_visible()
    expect(visitor.locator("[data-number]")).to_be_visible()
    visitor.get_by_role("button", name="Show the results").click()
    expect(visitor.get_by_text("100.0%")).to_be_visible()


def test_results_that_a_presenter_hides_stay_so_when_the_wall_is_renewed(visitor, site):
    question = site.ask()
    vote(site, question)
    visitor.goto(f"/polls/{question}/share/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    visitor.get_by_role("button", name="Hide the results").click()
    site.close(question)
    expect(visitor.get_by_text("Red won with 100%")).to_have_count(1)
    expect(visitor.get_by_text("100.0%")).to_be_hidden()
    expect(visitor.get_by_text("Red won with 100%")).to_be_hidden()
    show = visitor.get_by_role("button", name="Show the results")
    expect(show).to_be_focused()
    show.click()
    expect(visitor.get_by_text("Red won with 100%")).to_be_visible()


def test_a_wall_with_hidden_results_moves_without_being_loaded_again(visitor, site):
    """And shows the results itself once the poll has closed."""
    question = site.ask(results="closed")
    loads = []
    visitor.on("load", lambda _: loads.append(1))
    visitor.goto(f"/polls/{question}/share/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    vote(site, question)
    expect(visitor.locator("[data-number]")).to_have_text("1")
    expect(visitor.get_by_text("100.0%")).to_have_count(0)
    site.close(question)
    expect(visitor.get_by_text("Red won with 100%")).to_be_visible()
    expect(visitor.get_by_text("100.0%")).to_be_visible()
    assert loads == [1]


@pytest.mark.parametrize("site", SERVERS[:1], indirect=True)
@pytest.mark.parametrize("width, height", [(1920, 1080), (1280, 720)])
@pytest.mark.parametrize(
    "number, length", [(1, 9), (5, 9), (5, 200), (7, 30), (8, 200), (50, 9)]
)
def test_the_wall_is_one_screen(visitor, site, number, length, width, height):
    texts = [f"{n} {'word ' * 40}"[:length].strip() for n in range(number)]
    question = site.ask(f"{'Which one? ' * 18}"[:199], *texts)
    vote(site, question)
    visitor.set_viewport_size({"width": width, "height": height})
    visitor.goto(f"/polls/{question}/share/")
    bottom = visitor.locator(".presenter").bounding_box()["y"]
    rows = visitor.locator("tbody tr:visible")
    expect(rows).to_have_count(min(number, 8))
    for name in ("tbody tr:visible >> nth=-1", ".more:visible", ".address"):
        for one in visitor.locator(name).all():
            box = one.bounding_box()
            assert box["y"] + box["height"] <= bottom + 2
            assert box["x"] + box["width"] <= width


@pytest.mark.parametrize("site", SERVERS[:1], indirect=True)
def test_of_many_choices_the_longest_bars_come_first(visitor, site):
    question = site.ask("Where?", *(f"City {n}" for n in range(12)))
    visitor.goto(f"/polls/{question}/share/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    expect(visitor.get_by_text("City 11")).to_be_hidden()
    vote(site, question, choice=11)
    expect(visitor.locator("tbody tr").first).to_contain_text("City 11")
    expect(visitor.get_by_text("City 11").first).to_be_visible()
    expect(visitor.get_by_text("and 4 more choices")).to_be_visible()


def test_the_wall_moves_for_a_ranked_poll(visitor, site):
    question = site.ask("What?", "Tea", "Coffee", "Water", kind="ranked")
    visitor.goto(f"/polls/{question}/share/")
    rank(site, question, "Water", "Tea")
    now = visitor.get_by_text("Water would be elected now, with 1 of 1 ballot")
    expect(now).to_be_visible()


def test_a_wall_with_nothing_to_move_has_no_dead_button(reader, site):
    reader.goto(f"/polls/{site.ask()}/share/")
    expect(reader.locator("[data-number]")).to_have_text("0")
    expect(reader.get_by_role("button")).to_have_count(0)


@pytest.mark.parametrize("site", SERVERS[:1], indirect=True)
def test_a_clock_that_differs_makes_no_reload_loop(visitor, site):
    """One machine's page says open, another one's stream says closed: the page is renewed once."""
    question = site.ask()
    tally = Voter(site.base).get(f"/polls/{question}/results.json").text
    tally = tally.replace('"open"', '"closed"')
    last = 'event: end\ndata: {"reason": "closed"}\n\n'
    stream = {"content_type": "text/event-stream", "body": f"data: {tally}\n\n{last}"}
    visitor.route("**/live/*", lambda route: route.fulfill(**stream))
    asked = []
    visitor.on("request", lambda request: asked.append(request.url))
    visitor.goto(f"/polls/{question}/results/")
    visitor.wait_for_timeout(7000)
    assert len([url for url in asked if url.endswith("/results/")]) == 2
    expect(visitor.get_by_text("This poll has just closed", exact=True)).to_be_visible()


@pytest.mark.parametrize("site", SERVERS[:1], indirect=True)
def test_a_tab_that_is_hidden_and_shown_asks_once(visitor, site):
    """Without a stream; each showing ends what the one before began."""
    question = site.ask()
    visitor.route("**/live/*", lambda route: route.fulfill(status=204))
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("Live", exact=True)).to_be_visible()
    for _ in range(5):
        visitor.evaluate(HIDE, True)
        visitor.evaluate(HIDE, False)
    asked = []
    visitor.on("request", lambda request: asked.append(request.url))
    visitor.wait_for_timeout(4000)
    # Every turn asks for the stream and then the tally; several loops at once would make dozens.
    assert 1 <= len([url for url in asked if url.endswith("results.json")]) <= 4
