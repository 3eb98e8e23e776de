"""Invitation codes under a crowd: each is tried by eight browsers at the same moment, and counts once."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.people import Voter

# Not several crowds at once.
pytestmark = pytest.mark.xdist_group("crowds")

CODES, BROWSERS = 60, 8
MAKE = """
from polls.models import Question
from polls.voting.identity import make_codes
Question.objects.filter(pk={pk}).update(voters="codes")
for number, code in make_codes(Question.objects.get(pk={pk}), {codes}):
    print(code)
"""


def try_code(base: str, question: int, code: str, n: int, start: threading.Barrier):
    """Follow the link on paper, then vote when the others do."""
    browser = Voter(base)
    claimed = browser.get(f"/polls/{question}/code/{code}/").status
    choices = browser.open_ballot(question)
    start.wait(60)
    return claimed, browser.vote(choices[n % len(choices)], question).status


def test_60_codes_tried_by_8_browsers_each_make_60_ballots(start):
    command = "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker"
    site = start(command, WEB_CONCURRENCY="3").ready()
    question = site.ask()
    codes = site.shell(MAKE.format(pk=question, codes=CODES)).splitlines()
    outcomes = Counter()
    with ThreadPoolExecutor(BROWSERS) as browsers:
        for code in codes:
            barrier = threading.Barrier(BROWSERS)
            runs = [
                browsers.submit(try_code, site.base, question, code, n, barrier)
                for n in range(BROWSERS)
            ]
            outcomes.update(run.result() for run in runs)
    assert outcomes == {(302, 302): CODES * BROWSERS}
    assert site.counts(question) == (CODES, CODES)
    with site.database() as run:
        used = "SELECT count(DISTINCT voter_key) FROM polls_ballot JOIN polls_invitation USING (question_id, voter_key)"
        assert run(used)[0][0] == CODES
    assert "Totals that differ: 0." in site.manage("recount")
