"""A site that gets new code while people vote: every request is answered, and what was accepted is counted."""

import http.client
import socket

import pytest

from tests.support import restarts
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.once, pytest.mark.server]


@pytest.mark.parametrize("command", restarts.SERVERS)
def test_reload_restart_and_upgrade_lose_no_request(tmp_path, command):
    """Through nginx and past it, on a socket that outlives the server."""
    through, past, counts = restarts.go_through(tmp_path, command)
    assert (through.unwanted, past.unwanted) == ({}, {})
    accepted = through.votes + past.votes
    assert counts == (accepted, accepted)


def test_two_servers_that_restart_one_after_the_other_lose_no_request(tmp_path):
    """Each has a socket that outlives it, as by systemd; without, a queue of votes would go with the socket."""
    load, counts = restarts.roll(tmp_path)
    assert load.unwanted == {}
    assert counts == (load.votes, load.votes)


def test_what_comes_by_a_kept_connection_while_a_worker_stops_is_still_answered(start):
    """A proxy may have sent it before it hears that the connection is closed."""
    site = start(restarts.SERVERS[1], WEB_CONCURRENCY="1").ready()
    used = http.client.HTTPConnection("127.0.0.1", site.port, timeout=10)
    used.request("GET", "/polls/")
    assert used.getresponse().read()
    with socket.create_connection(("127.0.0.1", site.port), timeout=10) as begun:
        begun.sendall(b"GET /polls/ HT")
        site.process.terminate()
        wait_until(lambda: "Shutting down" in site.output())
        # On the same connection: it would be opened anew otherwise.
        used.auto_open = 0
        used.request("GET", "/polls/")
        answer = used.getresponse()
        assert (answer.status, answer.headers["Connection"]) == (200, "close")
        begun.sendall(b"TP/1.1\r\nHost: localhost\r\n\r\n")
        assert begun.recv(15) == b"HTTP/1.1 200 OK"
    assert site.process.wait(5) == 0


def test_a_connection_that_was_idle_for_longer_holds_up_no_stop(start):
    site = start(restarts.SERVERS[1], WEB_CONCURRENCY="1").ready()
    with socket.create_connection(("127.0.0.1", site.port)) as idle:
        idle.sendall(b"GET /polls/ HTTP/1.1\r\nHost: localhost\r\n\r\n")
        # Else it is gunicorn's 30.
        assert site.stop() < 20
