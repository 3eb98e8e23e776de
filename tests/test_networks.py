"""Which network a request comes from, past the proxies that the operator trusts."""

from io import BytesIO
from ipaddress import ip_network

import pytest
from asgiref.sync import async_to_sync
from django.core.handlers.asgi import ASGIRequest
from django.test import RequestFactory
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from polls.serving.networks import networks

pytestmark = pytest.mark.once


def seen(peer: str, forwarded: str = "") -> str:
    request = RequestFactory(REMOTE_ADDR=peer).get("/")
    request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    return networks(request)[0]


@pytest.mark.parametrize(
    "address",
    [
        "203.0.113.7",
        "203.0.113.7:5678",
        "::ffff:203.0.113.7",
        "[::ffff:203.0.113.7]:443",
        " 203.0.113.7 ",
    ],
)
def test_one_address_is_one_network_however_it_is_written(address):
    assert seen("127.0.0.1", address) == "203.0.113.7"
    assert seen(address.strip()) == "203.0.113.7"


@pytest.mark.parametrize(
    "address", ["2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443", "2001:db8::9%eth0"]
)
def test_of_version_6_it_is_what_a_subscriber_has_and_what_is_around(address):
    request = RequestFactory(REMOTE_ADDR=address).get("/")
    assert networks(request) == ["2001:db8::/64", "2001:db8::/48"]


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", ""])
def test_a_proxy_on_this_machine_is_believed(peer):
    assert seen(peer, "203.0.113.7") == "203.0.113.7"
    # It adds at the end; what stands before came from the client.
    assert seen(peer, "198.51.100.1, 203.0.113.7") == "203.0.113.7"


@pytest.mark.parametrize("peer", ["203.0.113.9", "10.0.0.5"])
def test_nobody_else_is(peer):
    assert seen(peer, "203.0.113.7") == peer


def test_the_proxies_of_the_operator_are(settings):
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8"), ip_network("2001:db8::5")]
    for peer in ("10.0.0.5", "::ffff:10.0.0.5", "2001:db8::5", "127.0.0.1"):
        assert seen(peer, "203.0.113.7") == "203.0.113.7"
        assert seen(peer, "9.9.9.9, 203.0.113.7, 10.9.9.9:80") == "203.0.113.7"
    assert seen("11.0.0.5", "203.0.113.7") == "11.0.0.5"


def test_where_any_proxy_is_trusted_the_last_one_is_believed(settings):
    settings.TRUST_ANY_PROXY = True
    assert seen("10.0.0.5", "198.51.100.1, 203.0.113.7") == "203.0.113.7"
    assert seen("203.0.113.7") == "203.0.113.7"


@pytest.mark.parametrize("trusted", ["127.0.0.1,10.0.0.0/8", "*"])
@pytest.mark.parametrize("peer", ["127.0.0.1", "203.0.113.7"])
@pytest.mark.parametrize(
    "forwarded",
    ["", "10.0.0.9", "203.0.113.7:80", "198.51.100.1, 203.0.113.7, 10.0.0.5"],
)
def test_uvicorn_which_reads_the_header_first_changes_nothing(
    settings, trusted, peer, forwarded
):
    """With * it takes the first, which the client itself can write."""
    settings.TRUST_ANY_PROXY = trusted == "*"
    settings.TRUSTED_PROXIES = [ip_network("10.0.0.0/8")]
    found = []

    async def site(scope, receive, send):
        found.append(networks(ASGIRequest(scope, BytesIO()))[0])

    scope = {"type": "http", "method": "GET", "path": "/", "client": (peer, 5000)}
    scope["headers"] = [(b"x-forwarded-for", forwarded.encode())]
    async_to_sync(ProxyHeadersMiddleware(site, trusted))(scope, None, None)
    assert found == [seen(peer, forwarded)]


@pytest.mark.parametrize("text", ["unknown", "_hidden", "203.0.113.7.9", "a:b", "[x"])
def test_what_is_no_address_is_one_network(text):
    assert seen("127.0.0.1", text) == text
