"""What a request says of where it comes from, and who is believed."""

import pytest
from django.test import Client

from tests.support.people import Voter

NAME = "polls.example.org"
FORGED = {
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Port": "1",
    "X-Forwarded-For": "203.0.113.7",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=203.0.113.7;host=evil.example;proto=https",
}
# Not this machine, from which the tests ask.
ELSEWHERE = {"FORWARDED_ALLOW_IPS": "203.0.113.9", "WEB_CONCURRENCY": "1"}
COMMANDS = [
    "gunicorn polls.wsgi",
    "gunicorn polls.asgi -k uvicorn.workers.UvicornWorker",
]


@pytest.fixture(scope="module", params=COMMANDS)
def site(request, share):
    return share(request.param, **ELSEWHERE).ready()


@pytest.mark.once
def test_what_a_stranger_forges_changes_no_page(site):
    for path in ("/polls/", "/polls/1/share/", "/polls/1/results/", "/admin/"):
        plain, forged = (
            Voter(site.base).request("GET", path, **headers) for headers in ({}, FORGED)
        )
        assert plain.status == forged.status
        assert plain.text == forged.text
        assert plain.headers["Location"] == forged.headers["Location"]
        assert "secure" not in str(forged.headers.get_all("Set-Cookie")).lower()
    assert "203.0.113.7" not in site.output()


@pytest.mark.once
@pytest.mark.parametrize("command", COMMANDS)
def test_a_proxy_that_is_not_trusted_is_named_once_in_the_log(start, command):
    """It would have every visitor redirected without end."""
    site = start(command, SITE_URL=f"https://{NAME}", **ELSEWHERE).ready()
    visitor = Voter(site.base, headers={"Host": NAME})
    assert visitor.get("/polls/").status == 301
    assert "FORWARDED_ALLOW_IPS" not in site.output()
    for _ in range(3):
        answer = visitor.request("GET", "/polls/", **FORGED)
        assert answer.headers["Location"] == f"https://{NAME}/polls/"
    assert site.output().count("FORWARDED_ALLOW_IPS") == 1
    assert "203.0.113.7" not in site.output()


@pytest.mark.django_db
def test_a_proxy_that_does_not_say_https_is_named_once_in_the_log(settings, caplog):
    """Browsers send Sec-Fetch-Site by https, and to their own machine."""
    settings.SECURE_SSL_REDIRECT, settings.SITE_URL = True, f"https://{NAME}"
    settings.ALLOWED_HOSTS = [NAME, "localhost"]
    browser, site = {"Sec-Fetch-Site": "none"}, {"Host": NAME}
    for told in (site, browser | {"Host": "localhost"}):
        assert Client().get("/polls/", headers=told).status_code == 301
    assert not caplog.messages
    for forwarded in ({}, {"X-Forwarded-Proto": "http"}):
        headers = browser | site | forwarded
        assert Client().get("/polls/", headers=headers).status_code == 301
    assert len(caplog.messages) == 1
    assert "let the proxy that ends TLS send X-Forwarded-Proto: " in caplog.text


@pytest.mark.django_db
@pytest.mark.parametrize("host", ["10.1.2.3:8000", "[fdaa::1]", "anything_at all"])
def test_a_load_balancer_asks_by_the_number_of_the_machine(client, settings, host):
    settings.SECURE_SSL_REDIRECT = True
    for path in ("/healthz", "/readyz"):
        assert client.get(path, headers={"Host": host}).content == b"ok\n"
    assert client.get("/polls/", headers={"Host": host}).status_code == 400
