"""Static files: kept for good by browsers, and never those of another version."""

import gzip
import re
from collections.abc import Callable

import pytest
from django.templatetags.static import static

from polls.serving import static_files
from polls.serving.static_files import StaticFile, Version
from tests.support.servers import ROOT

pytestmark = pytest.mark.once
STYLE = "polls/style.css"
GZIP = {"Accept-Encoding": "gzip"}


@pytest.fixture
def upgrade(monkeypatch) -> Callable[[str], None]:
    """Let the next server have this style."""
    files = static_files.version().files

    def upgrade(style: str) -> None:
        other = Version(files | {STYLE: StaticFile("style.css", style.encode())})
        monkeypatch.setattr(static_files, "version", lambda: other)

    return upgrade


def style_of(page: str) -> str:
    return re.search(r'rel="stylesheet" href="([^"]+)"', page)[1]


def test_it_works(client, question):
    page = client.get(f"/polls/{question.pk}/").text
    address = style_of(page)
    assert re.fullmatch(r"/static/[0-9a-f]{12}/polls/style\.css", address)
    answer = client.get(address)
    assert "--paper" in answer.text
    assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
    assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


@pytest.mark.parametrize("name", ["admin/css/base.css", "polls/live.js"])
def test_it_is_compressed_for_who_takes_that(client, name):
    plain, packed = client.get(static(name)), client.get(static(name), headers=GZIP)
    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed.content) == plain.content
    assert plain.headers["Vary"] == packed.headers["Vary"] == "Accept-Encoding"


@pytest.mark.parametrize("name", ["style.css", "rank.js", "live.js"])
def test_comments_are_not_sent(client, name):
    comment = re.compile(r"/\*|^\s*//")
    written = (ROOT / "polls/static/polls" / name).read_text().splitlines()
    sent = client.get(static(f"polls/{name}")).text.splitlines()
    assert not any(map(comment.search, sent))
    code = [line.strip() for line in written if not comment.search(line)]
    assert [line for line in code if line] == [line.strip() for line in sent if line]


FIRST_VISITS = [("one", "", 12_000), ("several", "", 12_000), ("ranked", "", 12_000), ("one", "results/", 20_000), ("ranked", "results/", 20_000)]  # fmt: skip


@pytest.mark.parametrize("kind, page, most", FIRST_VISITS)
def test_a_first_visit_is_small(client, ask, kind, page, most):
    question = ask("Who shall speak for us?", "Ada", "Grace", "Katherine", "Radia", kind=kind, max_choices=3, closes=70)  # fmt: skip
    first = client.get(f"/polls/{question.pk}/{page}", headers=GZIP)
    html = gzip.decompress(first.content).decode()
    places = re.findall(r'(?:src|href)="(/static/[^"]+)"', html)
    assert len(places) >= 3
    answers = [first, *(client.get(place, headers=GZIP) for place in places)]
    heads = (answer.serialize_headers() for answer in answers)
    sent = [*heads, *(answer.content for answer in answers)]
    assert sum(map(len, sent)) + len(str(first.cookies)) < most


@pytest.mark.parametrize("headers", [{}, GZIP])
def test_what_a_browser_has_is_304(client, headers):
    etag = client.get(static(STYLE), headers=headers).headers["ETag"]
    for known in (headers, {}, GZIP):
        again = client.get(static(STYLE), headers=known | {"If-None-Match": etag})
        assert (again.status_code, again.content) == (304, b"")
        assert "immutable" in again.headers["Cache-Control"]


def test_another_version_has_another_address(client, upgrade):
    old = static(STYLE)
    upgrade("new style")
    assert static(STYLE) != old
    assert client.get(static(STYLE)).text == "new style"
    # All of them: what one file says of another leads to its own version.
    assert static("polls/live.js").split("/")[2] != old.split("/")[2]


def test_the_address_of_another_version_is_answered_and_kept_by_nobody(client, upgrade):
    """Of two workers one may be newer than the other for a moment."""
    old = static(STYLE)
    upgrade("new style")
    answer = client.get(old)
    assert answer.text == "new style"
    assert answer.headers["Cache-Control"] == "public, no-cache"


def test_an_address_without_version_is_asked_for_each_time(client):
    answer = client.get(f"/static/{STYLE}")
    assert "--paper" in answer.text
    assert answer.headers["Cache-Control"] == "public, no-cache"


def test_what_files_say_of_one_another_is_of_their_version(client):
    sheet = static("admin/css/responsive.css")
    assert client.get(sheet).headers["Cache-Control"].endswith("immutable")
    icon = sheet.replace("css/responsive.css", "img/icon-calendar.svg")
    answer = client.get(icon)
    assert answer.headers["Cache-Control"].endswith("immutable")
    assert answer.headers["Content-Type"] == "image/svg+xml"


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/nothing.css",
        "/static/polls",
        "/static/polls/../../settings.py",
        "/static/polls/%2e%2e/%2e%2e/settings.py",
        "/static/0123456789ab/",
        "/static/0123456789ab/0123456789ab/polls/style.css",
        "/static/polls/style.css%00",
        "/static/polls/style.css%0a",
        "/static//polls/style.css",
    ],
)
@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.django_db
def test_it_rejects_what_is_no_file(client, settings, path, debug):
    settings.DEBUG = debug
    assert client.get(path).status_code == 404


def test_it_rejects_other_methods(client, db):
    assert client.post(static(STYLE)).status_code == 404


def test_head_has_the_length_and_no_more(client):
    answer = client.head(static(STYLE), headers=GZIP)
    whole = client.get(static(STYLE), headers=GZIP)
    assert answer.headers["Content-Length"] == str(len(whole.content))


def test_who_develops_sees_the_file_as_it_is(client, settings, tmp_path):
    settings.DEBUG, settings.STATICFILES_DIRS = True, [tmp_path]
    for style in ("first", "second"):
        (tmp_path / "mine.css").write_text(style)
        answer = client.get(static("mine.css"))
        assert answer.text == style
        assert answer.headers["Cache-Control"] == "public, no-cache"
    assert static("mine.css") == "/static/mine.css"
