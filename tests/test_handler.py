"""What both interfaces are sent, and that they answer the same."""

import http.client
import socket

import pytest

from tests.support.people import Voter

pytestmark = pytest.mark.once

ASGI = [
    "uvicorn polls.asgi:application",
    "gunicorn polls.asgi -k asgi",
]
KEPT = [
    "Allow",
    "Content-Type",
    "Content-Security-Policy",
    "Cache-Control",
    "Vary",
    "Location",
]


@pytest.fixture(scope="module", params=ASGI)
def sites(request, share):
    """The site under WSGI and under ASGI."""
    return [share("gunicorn polls.wsgi").ready(), share(request.param).ready()]


@pytest.fixture
def pair(sites):
    """Both, with a new question."""
    for site in sites:
        site.question = site.ask()
    return sites


def vote_without_length(voter, path, pieces):
    connection = http.client.HTTPConnection(
        voter.base.removeprefix("http://"), timeout=20
    )
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "Cookie": f"csrftoken={voter.cookies['csrftoken']}",
    }
    connection.request("POST", path, iter(pieces), headers, encode_chunked=True)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status


def kept_headers(answer):
    """Return the headers that must be equal; django-csp writes its policy in any order."""
    headers = {name: answer.headers[name] for name in KEPT}
    policy = headers["Content-Security-Policy"] or ""
    return headers | {"Content-Security-Policy": sorted(policy.split("; "))}


def test_wsgi_and_asgi_answer_the_same(pair):
    question = pair[0].question
    assert question == pair[1].question
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    broken = {"Content-Type": "multipart/form-data"}
    vote = f"/polls/{question}/vote/"
    requests = [
        ("GET", "/", b"", {}),
        ("GET", "/polls/", b"", {}),
        ("HEAD", "/polls/", b"", {}),
        ("GET", f"/polls/{question}/results/", b"", {}),
        ("GET", f"/polls/{question}/results.csv", b"", {}),
        ("GET", "/static/polls/style.css", b"", {}),
        ("GET", "/static/nothing.css", b"", {}),
        ("GET", "/polls/999/", b"", {}),
        ("GET", "/polls/%FF/", b"", {}),
        ("GET", "/polls/?page=%FF", b"", {}),
        ("GET", vote, b"", {}),
        ("PUT", "/polls/", b"x", {}),
        ("GET", "/polls/", b"", {"Host": "evil.example"}),
        ("POST", vote, b"choice=1", form),
        ("POST", vote, b"choice=\xff", form),
        ("POST", vote, b"choice=" + b"1" * 3_000_000, form),
        ("POST", vote, b"&".join([b"a=1"] * 5000), form),
        ("POST", vote, b"x", broken),
    ]
    for method, path, body, headers in requests:
        # Pages have links with the name and the port of the site.
        headers = {"Host": "localhost"} | headers
        answers = [
            Voter(site.base).request(method, path, body, **headers) for site in pair
        ]
        wsgi, asgi = answers
        assert wsgi.status == asgi.status, (method, path)
        # The one difference: whether the page has a stream to listen to.
        assert wsgi.text.replace('streams="False"', 'streams="True"') == asgi.text, path
        assert kept_headers(wsgi) == kept_headers(asgi), (method, path)


@pytest.mark.parametrize("charset", ["hex", "undefined", "idna"])
def test_a_codec_that_is_no_encoding_of_text_is_a_bad_request(pair, charset):
    vote = f"/polls/{pair[0].question}/vote/"
    for site in pair:
        for method, path, kind in [
            ("GET", "/polls/?page=1", "text/plain"),
            ("POST", vote, "multipart/form-data; boundary=x"),
        ]:
            headers = {"Content-Type": f"{kind}; charset={charset}"}
            answer = Voter(site.base).request(method, path, b"x", **headers)
            assert answer.status == 400
            assert "could not read this request" in answer.text
        assert "Traceback" not in site.output()


def test_a_body_without_a_length_is_limited_too(pair):
    site = pair[1]
    voter, vote = Voter(site.base), f"/polls/{site.question}/vote/"
    red = voter.open_ballot(site.question)[0]
    token = f"csrfmiddlewaretoken={voter.token}&choice={red}".encode()
    assert vote_without_length(voter, vote, [token, b"x" * 65536] * 40) == 413
    assert site.counts(site.question) == (0, 0)
    assert vote_without_length(voter, vote, [token[:9], token[9:]]) == 302
    assert site.counts(site.question) == (1, 1)


def test_a_client_that_leaves_harms_nobody(pair):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", pair[1].port)) as client:
            client.sendall(
                b"POST /polls/1/vote/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\nx"
            )
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", pair[1].port)) as client:
            client.sendall(
                b"GET /static/admin/css/base.css HTTP/1.1\r\nHost: localhost\r\n\r\n"
            )
    assert Voter(pair[1].base).get("/polls/").status == 200
    assert "Traceback" not in pair[1].output()
