"""Who tries passwords is held back, and keeps nobody else from logging in, looking or voting."""

import os
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import AsyncRequestFactory, Client

from polls.serving import hash_slots, log_in, throttle
from polls.serving.throttle import WrongTries
from tests.support.people import Voter
from tests.support.races import outcome

RIGHT = "ann's own words"
PAGES = ["/accounts/login/", "/admin/login/"]


@pytest.fixture
def ann(db) -> User:
    return User.objects.create_user("ann", password=RIGHT, is_staff=True)


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    clock = SimpleNamespace(now=1000.0)
    tries = WrongTries(clock=lambda: clock.now)
    monkeypatch.setattr(throttle, "wrong_tries", tries)
    return clock


def try_(client, password="wrong", name="ann", page=PAGES[0]):
    return client.post(page, {"username": name, "password": password})


def tries(number, client=None, **fields):
    client = client or Client()
    return [try_(client, **fields).status_code for _ in range(number)]


def test_the_focus_goes_to_one_place(ann, client):
    assert client.get(PAGES[0]).text.count("autofocus") == 1
    page = try_(client).text
    assert page.count("autofocus") == 1
    assert page.index("autofocus") < page.index("do not match an account")


def test_from_the_admins_log_in_there_is_a_way_on(client):
    page = client.get(PAGES[1]).text
    assert '<a href="/polls/">To the polls</a>' in page
    assert '<a href="/accounts/login/">Log in to vote</a>' in page
    assert "If you have forgotten the password, whoever gave you the account" in page


def at(n: int) -> Client:
    return Client(REMOTE_ADDR=f"203.0.{n // 256}.{n % 256}")


@pytest.mark.parametrize("page", PAGES)
def test_it_works(ann, clock, page):
    assert tries(6, page=page) == [200] * 5 + [429]
    answer = try_(Client(), RIGHT, page=page)
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "2"
    assert "Wait 2 seconds, then go back and try again." in answer.text
    assert (
        "A browser that has logged in to this name before need not wait" in answer.text
    )
    clock.now += 2
    assert try_(Client(), RIGHT, page=page).status_code == 302


def test_both_pages_count_together(ann, clock):
    assert tries(3) + tries(3, page=PAGES[1]) == [200] * 5 + [429]
    assert tries(1) == [429]


def test_the_wait_grows_to_a_minute(ann, clock):
    tries(5)
    waits = []
    for _ in range(7):
        waits.append(int(try_(Client()).headers["Retry-After"]))
        clock.now += waits[-1]
        assert tries(1) == [200]
    assert waits == [2, 4, 8, 16, 32, 60, 60]
    clock.now += log_in.NAME_HERE.forgotten
    assert tries(6) == [200] * 5 + [429]


def test_asking_while_one_waits_makes_it_no_longer(ann, clock):
    assert tries(20)[5:] == [429] * 15
    clock.now += 2
    assert tries(1, password=RIGHT) == [302]


@pytest.mark.parametrize("name", ["Ann", " ann", "ANN ", "\uff41nn"])
def test_a_name_is_one_however_it_is_written(ann, clock, name):
    tries(5, name=name)
    assert tries(1) == [429]


def test_a_name_that_does_not_exist_is_held_back_too(ann, clock):
    assert tries(6, name="nobody") == [200] * 5 + [429]


def test_wrong_ones_elsewhere_keep_nobody_out(ann, clock):
    assert tries(20, at(1))[-1] == 429
    assert tries(1, at(2), password=RIGHT) == [302]


def test_a_name_tried_from_everywhere_has_a_try_from_each_network(ann, clock):
    for n in range(log_in.NAME_ANYWHERE.free):
        assert tries(1, at(n)) == [200]
    assert tries(1, at(300), password=RIGHT) == [302]
    assert tries(2, at(301)) == [200, 429]
    assert try_(at(301)).headers["Retry-After"] == "60"
    # Nor is anybody else held back.
    assert tries(5, at(301), name="bob") == [200] * 5


def test_many_names_from_one_network_have_to_wait_a_little(ann, clock):
    for n in range(log_in.NETWORK.free):
        assert tries(1, name=f"name{n}") == [200]
    answer = try_(Client(), RIGHT)
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "2")
    clock.now += log_in.NETWORK.longest
    assert tries(1, password=RIGHT) == [302]


def test_a_browser_that_was_logged_in_before_counts_for_itself(ann, clock):
    known = Client()
    assert tries(1, known, password=RIGHT) == [302]
    known.post("/accounts/logout/")
    tries(50)
    for n in range(log_in.NAME_ANYWHERE.free):
        tries(1, at(n))
    assert tries(9, known) == [200] * 9
    assert tries(1, known, password=RIGHT) == [302]
    # Its own wrong ones count.
    known.post("/accounts/logout/")
    assert tries(11, known) == [200] * 10 + [429]
    assert "Too many wrong passwords came from this browser." in try_(known).text


def test_it_is_known_for_its_own_name_alone(ann, clock):
    User.objects.create_user("bob", password=RIGHT)
    known = Client()
    tries(1, known, password=RIGHT, name="bob")
    assert "bob" not in known.cookies["browser"].value
    tries(5)
    assert tries(1, known) == [429]
    known.cookies["browser"] = "x:y"
    assert tries(1, known, name="bob") == [200]


def test_what_hashes_nothing_does_not_count(ann, clock):
    assert tries(9, password="") == tries(9, name="") == [200] * 9
    strict = Client(enforce_csrf_checks=True)
    assert tries(9, strict) == [403] * 9
    assert tries(1) == [200]


def test_no_name_and_no_address_is_kept(ann):
    tries(3, at(7))
    kept = repr(vars(throttle.wrong_tries))
    assert len(throttle.wrong_tries) == 3
    assert not any(word in kept for word in ("ann", "203.0"))


class Gated(MD5PasswordHasher):
    """A hash that lasts as long as the test wants."""

    algorithm = "gated"
    at_once, most, gate = 0, 0, threading.Event()

    def encode(self, password, salt):
        cls = type(self)
        cls.at_once += 1
        cls.most = max(cls.most, cls.at_once)
        cls.gate.wait(10)
        cls.at_once -= 1
        return super().encode(password, salt)


@pytest.mark.django_db(transaction=True)
def test_few_are_hashed_at_once_and_the_others_are_told(settings, monkeypatch):
    settings.PASSWORD_HASHERS = [f"{__name__}.Gated"]
    monkeypatch.setattr(hash_slots, "PATIENCE", 10)
    Gated.gate.clear()
    places = hash_slots.HASHED + hash_slots.WAITING
    refused = threading.Semaphore(0)

    def visitor(n):
        answer = try_(at(n))
        if answer.status_code == 429:
            refused.release()
        return answer

    with ThreadPoolExecutor(16) as threads:
        runs = [threads.submit(outcome, lambda n=n: visitor(n)) for n in range(16)]
        for _ in range(16 - places):
            assert refused.acquire(timeout=20)
        Gated.gate.set()
        answers = [run.result() for run in runs]
    assert Counter(answer.status_code for answer in answers) == {
        429: 16 - places,
        200: places,
    }
    assert Gated.most == hash_slots.HASHED
    text = next(answer.text for answer in answers if answer.status_code == 429)
    assert "Many people are logging in at this moment. Wait 2 seconds" in text


@pytest.mark.once
def test_under_asgi_a_class_waits_in_half_of_the_threads(db, settings):
    gate, refused = threading.Event(), threading.Semaphore(0)

    @log_in.throttled
    def page(request):
        gate.wait(10)
        return HttpResponse(status=302)

    def pupil(name, cookie=""):
        request = AsyncRequestFactory().post("/", {"username": name, "password": "x"})
        request.COOKIES["browser"] = cookie
        answer = page(request)
        if answer.status_code == 429:
            refused.release()
        return answer

    waiting = settings.ASGI_THREADS // 2 - 1
    gate.set()
    known = pupil("known").cookies["browser"].value
    gate.clear()
    with ThreadPoolExecutor(16) as threads:
        runs = [threads.submit(pupil, f"pupil{n}") for n in range(12)]
        for _ in range(12 - waiting):
            assert refused.acquire(timeout=20)
        # Who has logged in before has a thread kept for them.
        runs += [threads.submit(pupil, "known", known) for _ in range(2)]
        assert refused.acquire(timeout=20)
        gate.set()
        statuses = Counter(run.result().status_code for run in runs)
    assert statuses == {302: waiting + 1, 429: 12 - waiting + 1}


# With how many workers: how many wait for a hash goes by the cores under WSGI, by the workers under ASGI.
SERVERS = [
    ("gunicorn polls.wsgi", os.cpu_count() * 2 - 1),
    ("gunicorn polls.asgi -k uvicorn.workers.UvicornWorker", 2),
]


def attack(site, number: int) -> Counter[int]:
    """Try so many wrong passwords at the same moment; return the statuses."""
    robots = [Voter(site.base) for _ in range(number)]
    for robot in robots:
        robot.open_log_in()
    with ThreadPoolExecutor(number) as threads:
        posts = [
            threads.submit(
                robot.post, "/accounts/login/", username=f"robot{n}", password="wrong"
            )
            for n, robot in enumerate(robots)
        ]
        return Counter(post.result().status for post in posts)


@pytest.mark.once
@pytest.mark.parametrize("command, workers", SERVERS)
def test_visitors_are_served_while_passwords_are_tried(start, command, workers):
    site = start(command, WEB_CONCURRENCY=str(workers)).ready()
    question = site.ask()
    done, waits = threading.Event(), []

    def visit():
        while not done.is_set():
            voter, began = Voter(site.base), time.monotonic()
            choice = voter.open_ballot(question)[0]
            middle = time.monotonic()
            assert voter.vote(choice, question).status == 302
            waits.extend([middle - began, time.monotonic() - middle])

    with ThreadPoolExecutor(1) as threads:
        visitor = threads.submit(visit)
        statuses = attack(site, 16)
        done.set()
        visitor.result()
    assert statuses[429] >= 8 and statuses[200] + statuses[429] == 16
    # 0.3 s, and 8 s without a limit.
    assert max(waits) < 5
