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
    expect(visitor.get_by_text("live", exact=True)).to_be_visible(timeout=5000)
    vote(site, question)
    vote(site, question, choice=1)
    expect(visitor.get_by_text("2 ballots")).to_be_visible(timeout=8000)
    row = visitor.get_by_role("row", name="Red")
    expect(row).to_contain_text("50.0%")
    assert row.locator("meter").evaluate("meter => meter.value") == 50


def test_totals_that_go_down_are_shown(visitor, site):
    question = site.ask()
    voter = vote(site, question)
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_role("row", name="Red")).to_contain_text("100.0%")
    vote(site, question, choice=1, voter=voter)
    expect(visitor.get_by_role("row", name="Red")).to_contain_text("0.0%", timeout=8000)
    expect(visitor.get_by_role("row", name="Blue")).to_contain_text("100.0%")


def test_a_screen_reader_is_told(visitor, site):
    question = site.ask()
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("live", exact=True)).to_be_visible(timeout=5000)
    vote(site, question)
    news = visitor.locator("[data-announcer]")
    expect(news).to_have_text("1 ballot, Red: 1, Blue: 0", timeout=15000)


def test_a_poll_that_closes_under_its_viewers_says_so(visitor, site):
    question = site.ask()
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("live", exact=True)).to_be_visible(timeout=5000)
    site.close(question)
    expect(visitor.get_by_text("Closed")).to_be_visible(timeout=8000)
    expect(visitor.get_by_role("link", name="Vote")).to_have_count(0)


@pytest.mark.parametrize("site", SERVERS[:1], indirect=True)
def test_a_poll_that_closes_a_second_time_in_one_tab_says_so_again(visitor, site):
    question = site.ask()
    visitor.goto(f"/polls/{question}/results/")
    vote_link = visitor.get_by_role("link", name="Vote")
    for _ in range(2):
        expect(visitor.get_by_text("live", exact=True)).to_be_visible(timeout=5000)
        site.close(question)
        # The page itself is renewed: numbers alone would leave the button.
        expect(vote_link).to_have_count(0, timeout=8000)
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
    words = "Coffee would be elected now, with 2 of 3 ballots in round 2."
    expect(now).to_have_text(words, timeout=8000)
    visitor.get_by_text("All rounds").click()
    told = visitor.get_by_role("region", name="Rounds")
    rounds = told.get_by_role("row")
    tie = "Round 1: Tea, Coffee and Water were tied; Water goes out by the rule below."
    table = ["Choice12", "Coffee Ahead12", "Tea11", "Water1out", "Exhausted00"]
    expect(rounds).to_have_text(table)
    expect(told).to_contain_text(tie)
    visitor.locator("img").scroll_into_view_if_needed()
    expect(visitor.locator("img")).not_to_have_attribute("src", drawn, timeout=8000)
    # Once it has come.
    expect(visitor.locator("img")).to_have_js_property("naturalWidth", 480)
    visitor.reload()
    expect(now).to_have_text(words)
    expect(told).to_contain_text(tie)


def test_results_that_become_hidden_go_away(visitor, site):
    """And a viewer who came for them is not left with the last numbers."""
    question = site.ask()
    vote(site, question)
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("live", exact=True)).to_be_visible(timeout=5000)
    with site.database() as run:
        run("UPDATE polls_question SET results = 'organisers'")
    expect(visitor.get_by_text("Only the organisers see")).to_be_visible(timeout=15000)
    expect(visitor.get_by_text("100.0%")).to_have_count(0)
    expect(visitor.get_by_text("1 ballot")).to_be_visible()


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
    expect(page.get_by_text("live", exact=True)).to_be_visible(timeout=5000)
    site.stop()
    expect(page.get_by_text("offline, retrying")).to_be_visible(timeout=8000)
    site.restart().ready()
    vote(site, question)
    expect(page.get_by_text("1 ballot", exact=True)).to_be_visible(timeout=20000)
    page.context.close()


def test_a_killed_worker_is_survived(chromium, site):
    page = chromium.new_context(base_url=site.base).new_page()
    question = site.ask()
    page.goto(f"/polls/{question}/results/")
    expect(page.get_by_text("live", exact=True)).to_be_visible(timeout=5000)
    for worker in site.workers():
        os.kill(worker, signal.SIGKILL)
    vote(site.ready(), question)
    expect(page.get_by_text("1 ballot", exact=True)).to_be_visible(timeout=15000)
    page.context.close()


def test_a_hidden_tab_rests_and_catches_up(visitor, site):
    """Chromium shows every tab of a headless window: the page is told that it is hidden."""
    question = site.ask()
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("live", exact=True)).to_be_visible(timeout=5000)
    visitor.evaluate(HIDE, True)
    asked = []
    visitor.on("request", lambda request: asked.append(request.url))
    vote(site, question)
    visitor.wait_for_timeout(3500)
    assert not asked
    expect(visitor.get_by_text("0 ballots")).to_be_visible()
    visitor.evaluate(HIDE, False)
    expect(visitor.get_by_text("1 ballot", exact=True)).to_be_visible(timeout=3000)


def test_the_wall_moves_and_fills_the_screen(visitor, site):
    question = site.ask()
    visitor.goto(f"/polls/{question}/share/")
    expect(visitor.get_by_role("img", name="QR code")).to_be_visible()
    expect(
        visitor.get_by_role("link", name=f"{site.base}/polls/{question}/")
    ).to_be_visible()
    expect(visitor.get_by_text("live", exact=True)).to_be_visible(timeout=5000)
    vote(site, question)
    expect(visitor.get_by_text("1 ballot", exact=True)).to_be_visible(timeout=8000)
    visitor.keyboard.press("f")
    expect(visitor.locator(":root:fullscreen")).to_have_count(1)
    visitor.keyboard.press("f")
    expect(visitor.locator(":root:fullscreen")).to_have_count(0)


def test_the_wall_moves_for_a_ranked_poll(visitor, site):
    question = site.ask("What?", "Tea", "Coffee", "Water", kind="ranked")
    visitor.goto(f"/polls/{question}/share/")
    rank(site, question, "Water", "Tea")
    now = visitor.get_by_text("Water would be elected now, with 1 of 1 ballot")
    expect(now).to_be_visible(timeout=8000)


def test_a_wall_with_nothing_to_move_has_no_dead_button(reader, site):
    reader.goto(f"/polls/{site.ask()}/share/")
    expect(reader.get_by_text("0 ballots")).to_be_visible()
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
    loads = []
    visitor.on("load", lambda _: loads.append(1))
    visitor.goto(f"/polls/{question}/results/")
    visitor.wait_for_timeout(7000)
    assert len(loads) == 2
    expect(visitor.get_by_text("has just closed", exact=True)).to_be_visible()


@pytest.mark.parametrize("site", SERVERS[:1], indirect=True)
def test_a_tab_that_is_hidden_and_shown_asks_once(visitor, site):
    """Without a stream; each showing ends what the one before began."""
    question = site.ask()
    visitor.route("**/live/*", lambda route: route.fulfill(status=204))
    visitor.goto(f"/polls/{question}/results/")
    expect(visitor.get_by_text("live", exact=True)).to_be_visible(timeout=5000)
    for _ in range(5):
        visitor.evaluate(HIDE, True)
        visitor.evaluate(HIDE, False)
    asked = []
    visitor.on("request", lambda request: asked.append(request.url))
    visitor.wait_for_timeout(4000)
    # Every turn asks for the stream and then the tally; several loops at once would make dozens.
    assert 1 <= len([url for url in asked if url.endswith("results.json")]) <= 4
