"""/metrics: the numbers of all workers, as a parser of Prometheus reads them."""

import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from polls.prometheus import Folder
from tests.support.people import Voter
from tests.support.servers import ROOT, Site
from tests.support.streams import Stream
from tests.support.waiting import wait_until

TOKEN = "a token of the operator"
pytestmark = pytest.mark.once


class Numbers(dict[str, float]):
    """Samples by name and labels: polls_votes_total{how=new}."""

    def __init__(self, text: str) -> None:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
                self[f"{sample.name}{{{labels}}}" if labels else sample.name] = (
                    sample.value
                )

    def __missing__(self, name: str) -> float:
        return 0


def read(site: Site) -> Numbers:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = Voter(site.base, headers=headers).get("/metrics")
    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return Numbers(answer.text)


@pytest.fixture(
    scope="module",
    params=[
        # The master counts nothing, and its workers not over each other.
        "gunicorn polls.wsgi --preload",
        "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
    ],
)
def site(request, share) -> Site:
    return share(request.param, WEB_CONCURRENCY="2", METRICS_TOKEN=TOKEN).ready()


def vote_in_every_way(site: Site) -> None:
    question, final = site.ask(), site.ask(may_change=False)
    closed = site.ask()
    for _ in range(6):
        Voter(site.base).open_and_vote(question)
    ann = Voter(site.base)
    red, blue = ann.open_ballot(question)
    for choice in (red, blue, "nonsense"):
        ann.vote(choice, question)
    ann.post(f"/polls/{question}/withdraw/")
    bob = Voter(site.base)
    red, blue = bob.open_ballot(final)
    for choice in (red, blue):
        bob.vote(choice, final)
    late = Voter(site.base)
    choice = late.open_ballot(closed)[0]
    site.close(closed)
    late.vote(choice, closed)
    Voter(site.base).vote(choice, closed)


def test_it_counts_what_a_small_load_did(site):
    before = read(site)
    vote_in_every_way(site)
    after = read(site)
    changes = {name: after[name] - before[name] for name in after}
    grown = lambda name: changes.get(name, 0)
    assert grown("polls_votes_total{how=new}") == 8
    assert grown("polls_votes_total{how=changed}") == 1
    assert grown("polls_votes_total{how=withdrawn}") == 1
    for reason in ("Invalid", "NotChangeable", "NotOpen", "403"):
        assert grown(f"polls_refusals_total{{reason={reason}}}") == 1, reason
    assert grown("polls_page_seconds_count{view=polls:vote}") == 13
    assert grown("polls_page_seconds_count{view=polls:detail}") == 9
    assert grown("polls_page_seconds_bucket{le=+Inf,view=polls:vote}") == 13
    assert 0 < grown("polls_page_seconds_sum{view=polls:vote}") < 60
    assert grown("polls_answers_total{status=302}") == 10
    assert grown("polls_commit_ballots_sum") >= 8
    assert 0 < grown("polls_commit_seconds_sum") < 60


def test_it_knows_what_is_so_at_this_moment(site):
    wait_until(lambda: read(site)["polls_workers"] == 2)
    numbers = read(site)
    assert numbers["polls_disk_free_bytes"] > 0
    for worker in (0, 1):
        opened = numbers[f"polls_descriptors{{worker={worker}}}"]
        assert 5 < opened < numbers[f"polls_descriptors_limit{{worker={worker}}}"]
    if site.serves_wsgi:
        # Of the worker that answers this.
        assert numbers["polls_threads_busy"] == 1
        return
    assert numbers["polls_threads"] == 16
    question = site.ask()
    streams = [Stream(site.base, question).wait_for("data:") for _ in range(3)]
    assert read(site)["polls_viewers"] == 3
    for stream in streams:
        stream.close()
    wait_until(lambda: read(site)["polls_viewers"] == 0)


def test_totals_stay_and_viewers_go_when_a_worker_is_killed(site):
    question = site.ask()
    for _ in range(4):
        Voter(site.base).open_and_vote(question)
    streams = [Stream(site.base, question) for _ in range(2)]
    votes = read(site)["polls_votes_total{how=new}"]
    files = sorted((site.folder / "metrics").iterdir())
    dead = site.workers()
    for worker in dead:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: len(set(site.workers()) - set(dead)) == 2)
    site.ready()
    wait_until(lambda: read(site)["polls_workers"] == 2)
    assert read(site)["polls_votes_total{how=new}"] == votes
    assert read(site)["polls_viewers"] == 0
    Voter(site.base).open_and_vote(question)
    assert read(site)["polls_votes_total{how=new}"] == votes + 1
    assert sorted((site.folder / "metrics").iterdir()) == files
    for stream in streams:
        stream.close()


@pytest.mark.parametrize("told", ["", TOKEN, f"Bearer {TOKEN}x", "Bearer ", "Bearer ü"])
def test_who_has_no_token_finds_nothing(site, told):
    answer = Voter(site.base, headers={"Authorization": told}).get("/metrics")
    assert answer.status == 404
    assert "polls_" not in answer.text


def test_it_is_asked_by_any_name(site):
    headers = {"Authorization": f"Bearer {TOKEN}", "Host": "10.1.2.3:8000"}
    assert Voter(site.base, headers=headers).get("/metrics").status == 200


@pytest.mark.parametrize("told", [{}, {"Authorization": "Bearer "}])
def test_it_is_not_there_unless_it_is_asked_for(client, db, told):
    assert client.get("/metrics", headers=told).status_code == 404


def test_the_docs_name_every_number_and_no_other(site):
    page = (ROOT / "docs/metrics.md").read_text()
    named = set(re.findall(r"`(polls_\w+)[{`]", page.split("## All of them")[1]))
    told = {
        re.sub("_(count|sum|bucket)$", "", name.split("{")[0]) for name in read(site)
    }
    assert {name for name in told if not name.endswith("_created")} <= named
    assert named - told <= {"polls_votes_total", "polls_refusals_total"}


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Folder]:
    return Folder(tmp_path / "metrics")


def test_two_workers_have_two_numbers(folder):
    assert [folder.take_number() for _ in range(3)] == [0, 1, 2]
    assert set(folder.workers()) == {0, 1, 2}


@pytest.mark.parametrize("left", [b"", b"\xff" * 100, b"\x64\x00\x00\x00\x00"])
def test_what_a_power_cut_has_left_does_not_stop_a_worker(folder, left):
    (folder.path / "counter_0.db").write_bytes(left)
    assert folder.take_number() == 0
    assert (folder.path / "counter_0.db").stat().st_size == 256 * 1024
