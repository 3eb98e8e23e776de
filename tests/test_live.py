"""The stream of live results through real servers."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from tests.support.people import Voter
from tests.support.postgres import away
from tests.support.streams import Stream, many
from tests.support.waiting import wait_until

ASGI = [
    "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
    "gunicorn polls.asgi -k asgi",
    "uvicorn polls.asgi:application",
]


@pytest.fixture(scope="module")
def site(share):
    return share("uvicorn polls.asgi:application").ready()


@pytest.fixture
def own_site(start):
    """A server that has served nobody else."""
    return start("uvicorn polls.asgi:application").ready()


def vote(site, question, voter=None, choice=0):
    voter = voter or Voter(site.base)
    assert voter.open_and_vote(question, choice).status == 302
    return voter


@pytest.mark.parametrize("command", ASGI)
def test_it_works(start, command):
    """The viewer may be on another worker than the vote."""
    site = start(command).ready()
    question = site.ask()
    stream = Stream(site.base, question).wait_for('"ballots": 0')
    vote(site, question)
    stream.wait_for('"ballots": 1', 2)
    assert stream.status == 200
    assert "content-type: text/event-stream" in stream.text.lower()
    assert "cache-control: no-store" in stream.text.lower()
    assert "x-accel-buffering: no" in stream.text.lower()
    assert 1000 <= int(stream.fields("retry")[0]) <= 4000


def test_an_event_is_results_json_with_the_version_as_its_id(site):
    question = site.ask()
    vote(site, question)
    stream = Stream(site.base, question).wait_for('"ballots": 1')
    assert (
        f"data: {Voter(site.base).get(f'/polls/{question}/results.json').text}\n"
        in stream.text
    )
    assert stream.fields("id") == [str(stream.tallies[0]["version"])] == ["1"]


def test_an_event_of_a_ranked_poll_has_the_table_of_its_rounds(site):
    question = site.ask("What?", "Tea", "Coffee", kind="ranked")
    stream = Stream(site.base, question).wait_for('"ballots": 0')
    told = json.loads(Voter(site.base).get(f"/polls/{question}/results.json").text)
    assert stream.tallies[0] == told
    assert "Round 1" in told["rounds_table"]


@pytest.mark.once
def test_under_wsgi_it_says_that_there_is_none(start):
    site = start("gunicorn polls.wsgi").ready()
    answer = Voter(site.base).get(f"/polls/{site.ask()}/live/")
    assert (answer.status, answer.text) == (204, "")


def test_totals_that_go_down_are_shown_too(site):
    question = site.ask()
    voter = vote(site, question)
    stream = Stream(site.base, question).wait_for('"votes": 1')
    vote(site, question, voter, choice=1)
    stream.wait_for('"version": 3')
    assert [c["votes"] for c in stream.tallies[-1]["choices"]] == [0, 1]


def test_a_tally_that_does_not_change_sends_nothing(site):
    stream = Stream(site.base, site.ask()).read(2)
    assert len(stream.tallies) == 1


def test_versions_never_go_back(site):
    question = site.ask()
    stream = Stream(site.base, question).wait_for('"ballots": 0')
    for _ in range(30):
        vote(site, question)
    stream.wait_for('"ballots": 30')
    versions = [int(version) for version in stream.fields("id")]
    assert versions == sorted(set(versions))


@pytest.mark.parametrize("known", ["0", "1", "x", "-1", "9" * 400, "1;2"])
def test_a_viewer_who_comes_back_gets_the_newest(site, known):
    question = site.ask()
    vote(site, question)
    with many(1, site.base, question) as others:
        others[0].wait_for('"ballots": 1')
        stream = Stream(site.base, question, last_event_id=known).wait_for(
            '"ballots": 1'
        )
    assert stream.tallies[0]["version"] == 1


def delete(site, question):
    with site.database() as run:
        run("DELETE FROM polls_choice WHERE question_id = %s", question)
        run("DELETE FROM polls_question WHERE id = %s", question)


def test_it_rejects_a_question_that_is_not_there(site):
    gone = site.ask()
    delete(site, gone)
    later = site.ask(pub_date="2999-01-01 00:00:00+00:00")
    for question in (gone, later):
        assert Stream(site.base, question).read().status == 404


def test_a_poll_that_closes_sends_its_last_tally_and_ends(site):
    question = site.ask()
    stream = Stream(site.base, question).wait_for('"ballots": 0')
    vote(site, question)
    site.close(question)
    stream.wait_for("event: end").read()
    assert stream.ended
    assert stream.tallies[-1]["question"]["state"] == "closed"
    assert stream.tallies[-1]["ballots"] == 1
    assert '{"reason": "closed"}' in stream.text


def test_a_poll_that_is_deleted_ends(site):
    question = site.ask()
    stream = Stream(site.base, question).wait_for('"ballots": 0')
    delete(site, question)
    stream.wait_for('{"reason": "gone"}').read()
    assert stream.ended


@pytest.mark.once
@pytest.mark.xdist_group("crowds")
@pytest.mark.parametrize("command", ASGI)
def test_a_server_told_to_stop_ends_1000_streams_at_once(start, command):
    site = start(command, WEB_CONCURRENCY="2").ready()
    question = site.ask()
    with many(1000, site.base, question) as streams:
        for stream in streams:
            stream.wait_for('"ballots": 0', 30)
        # Far less when nothing else runs (bench/README.md); the grace time of 30 s where it does not work.
        assert site.stop() < 6
        for stream in streams:
            assert stream.read(1).ended
    assert "Traceback" not in site.output()


@pytest.mark.once
def test_a_reload_sends_viewers_to_the_next_worker(start):
    site = start("gunicorn polls.asgi -k uvicorn.workers.UvicornWorker").ready()
    question, first = site.ask(), set(site.workers())
    stream = Stream(site.base, question).wait_for('"ballots": 0')
    site.process.send_signal(signal.SIGHUP)
    assert stream.read(5).ended
    wait_until(lambda: not first & set(site.workers()))
    vote(site.ready(), question)
    Stream(site.base, question, last_event_id="0").wait_for('"ballots": 1')


@pytest.mark.once
@pytest.mark.parametrize("worker", ["uvicorn.workers.UvicornWorker", "asgi"])
def test_max_requests_sends_viewers_to_the_next_worker(start, worker):
    command = f"gunicorn polls.asgi -k {worker} --max-requests 20"
    site = start(command, WEB_CONCURRENCY="1").ready()
    question = site.ask()
    first = site.workers()
    stream = Stream(site.base, question).wait_for('"ballots": 0')
    for _ in range(19):
        Voter(site.base).get("/healthz")
    assert stream.read(5).ended
    wait_until(lambda: site.workers() not in ([], first))
    Stream(site.ready().base, question).wait_for('"ballots": 0')


def test_a_killed_worker_is_replaced_and_the_numbers_are_right(start):
    site = start(
        "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker", WEB_CONCURRENCY="1"
    )
    question = site.ready().ask()
    vote(site, question)
    stream = Stream(site.base, question).wait_for('"ballots": 1')
    os.kill(site.workers()[0], signal.SIGKILL)
    assert stream.read(5).ended
    vote(site.ready(), question)
    Stream(site.base, question, last_event_id="1").wait_for('"ballots": 2')


def test_viewers_who_leave_are_forgotten_and_the_reader_rests(own_site):
    question = own_site.ask()
    with many(50, own_site.base, question) as streams:
        for stream in streams:
            stream.wait_for('"ballots": 0')
    time.sleep(1)
    before = cpu_ticks(own_site.process.pid)
    time.sleep(2)
    # uvicorn itself looks around ten times a second.
    assert cpu_ticks(own_site.process.pid) - before <= 3


def cpu_ticks(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


@pytest.mark.postgresql
def test_200_viewers_on_a_worker_cause_one_query_a_tick(own_site):
    """Counted at the database, by its own statistics."""
    import psycopg

    questions = [own_site.ask(f"Question {n}?") for n in range(4)]
    url = own_site.environment["DATABASE_URL"]
    commits = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    streams = [Stream(own_site.base, questions[n % 4]) for n in range(200)]
    for stream in streams:
        stream.wait_for('"ballots": 0')
    with psycopg.connect(url, autocommit=True) as connection:
        time.sleep(2)
        connection.execute("SELECT pg_stat_clear_snapshot()")
        before = connection.execute(commits).fetchone()[0]
        time.sleep(5)
        connection.execute("SELECT pg_stat_clear_snapshot()")
        queries = connection.execute(commits).fetchone()[0] - before
    for stream in streams:
        stream.close()
    assert 10 <= queries <= 26, "20 ticks in 5 seconds, and this test's own"


@pytest.mark.postgresql
def test_a_database_that_goes_and_comes_back_ends_no_stream(own_site):
    question = own_site.ask()
    stream = Stream(own_site.base, question).wait_for('"ballots": 0')
    with away(own_site.environment["DATABASE_URL"]):
        assert not stream.read(1).ended
    vote(own_site, question)
    stream.wait_for('"ballots": 1')
    assert own_site.output().count("Live results wait for the database") == 1


@pytest.mark.once
@pytest.mark.parametrize("command", ASGI)
def test_clients_that_never_read_hold_up_nobody(start, command):
    """Tallies of 300 kB fill what the sockets can hold: these clients take nothing, not even an end."""
    site = start(command, WEB_CONCURRENCY="1").ready()
    question = site.ask(
        "Which one?", *(f"{n} " + "\N{GRINNING FACE}" * 190 for n in range(400))
    )
    deaf = [Stream(site.base, question, receive_buffer=2048) for _ in range(20)]
    reader = Stream(site.base, question).wait_for('"ballots": 0')
    for n in range(1, 11):
        vote(site, question)
        reader.wait_for(f'"ballots": {n}', 5)
        reader.text = ""
    assert site.stop() < 6
    for stream in deaf:
        stream.close()
