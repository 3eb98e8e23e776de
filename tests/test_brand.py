"""What an operator gives the site: a name, a logo, a colour, an imprint."""

import re

import pytest
from django.templatetags.static import static
from django.test import Client

from polls import accent
from polls.serving import static_files

pytestmark = pytest.mark.once
STYLE = "polls/style.css"


@pytest.fixture
def files(monkeypatch):
    """Read the static files anew, as a server does at its start."""
    monkeypatch.setattr(static_files, "version", static_files.version.__wrapped__)


@pytest.fixture
def logo(settings, tmp_path):
    settings.SITE_LOGO = tmp_path / "Our logo.PNG"
    settings.SITE_LOGO.write_bytes(b"\x89PNG and more")
    return settings.SITE_LOGO


def test_it_works(db, settings):
    settings.SITE_NAME = "Garden & club"
    settings.IMPRINT_URL = "https://example.org/imprint?a=1&b=2"
    for path in ("/polls/", "/nowhere/", "/accounts/login/"):
        page = Client().get(path).text
        assert "Garden &amp; club</span></a>" in page
        assert '<a href="https://example.org/imprint?a=1&amp;b=2">Imprint</a>' in page
    assert "<title>Garden &amp; club</title>" in Client().get("/polls/").text


def test_without_settings_nothing_is_added(client, db):
    page = client.get("/polls/").text
    assert "Polls</span></a>" in page and "Imprint" not in page
    assert page.count('rel="stylesheet"') == 1 and "<img" not in page


def test_the_logo_stands_beside_the_name(client, db, files, logo):
    address = re.search(r'<img src="([^"]+)" alt="">', client.get("/polls/").text)[1]
    answer = client.get(address)
    assert answer.headers["Content-Type"] == "image/png"
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.content == logo.read_bytes()


def test_the_colour_comes_with_the_stylesheet(client, db, files, settings):
    plain = static(STYLE), client.get(static(STYLE)).text
    settings.ACCENT_COLOUR = "#ffcc00"
    light, dark = accent.fills("#ffcc00")
    style = client.get(static(STYLE)).text
    assert style.startswith(plain[1]) and static(STYLE) != plain[0]
    assert f"{{--fill:{light}}}" in style and f"{{--fill:{dark}}}" in style
    assert client.get("/polls/").text.count('rel="stylesheet"') == 1
