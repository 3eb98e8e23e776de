"""The admin's stylesheet: Django's admin in the site's colours, which can be read in light and in dark."""

import re

import pytest

from polls import accent, brand
from tests.support.servers import ROOT

pytestmark = pytest.mark.once

CSS = (ROOT / "polls/static/polls/admin.css").read_text()
COLOUR = r"(#\w+)"


def scheme(n: int) -> dict[str, str]:
    """Return the colours of light, 0, or dark, 1, with what is mixed of them."""
    pairs = re.findall(rf"--([\w-]+): light-dark\({COLOUR}, {COLOUR}\)", CSS)
    found = {name: colours[n] for name, *colours in pairs}
    mixed = r"--([\w-]+): color-mix\(in oklab, var\(--(\w+)\) (\d+)%, var\(--(\w+)\)\)"
    for name, one, share, other in re.findall(mixed, CSS):
        found[name] = accent.mix(found[one], found[other], int(share) / 100)
    return found


SCHEMES = pytest.mark.parametrize("colours", [scheme(0), scheme(1)], ids=["light", "dark"])  # fmt: skip


@SCHEMES
@pytest.mark.parametrize("ground", ["paper", "card", "tint"])
@pytest.mark.parametrize("text", ["ink", "soft", "fill", "deep", "bad", "good"])
def test_text_can_be_read(colours, text, ground):
    assert accent.contrast(colours[text], colours[ground]) >= 4.5


@SCHEMES
@pytest.mark.parametrize(
    "ground",
    ["selected-bg", "message-success-bg", "message-warning-bg", "message-error-bg"],
)
def test_text_on_what_is_marked_can_be_read(colours, ground):
    assert accent.contrast(colours["ink"], colours[ground]) >= 4.5


@SCHEMES
@pytest.mark.parametrize(
    "button", ["fill", "deep", "soft", "bad", "delete-button-hover-bg"]
)
def test_text_on_buttons_can_be_read(colours, button):
    assert accent.contrast(colours["on"], colours[button]) >= 4.5


@SCHEMES
@pytest.mark.parametrize("ground", ["paper", "card"])
def test_the_edge_of_a_box_can_be_seen(colours, ground):
    assert accent.contrast(colours["edge"], colours[ground]) >= 3


def test_it_has_the_colours_of_the_site():
    light, dark = scheme(0), scheme(1)
    assert (light["paper"], light["card"], light["on"]) == accent.LIGHT[:3]
    assert (dark["paper"], dark["card"], dark["on"]) == accent.DARK[:3]
    assert (light["fill"], dark["fill"]) == accent.fills(accent.DEFAULT)


def test_it_takes_the_accent_of_the_site(settings):
    settings.ACCENT_COLOUR = "#c2185b"
    assert b"--fill:light-dark(#c2185b," in brand.added_to("polls/admin.css")


def test_boxes_of_a_date_have_names(admin_client, admin_user):
    page = admin_client.get(f"/admin/auth/user/{admin_user.pk}/change/").text
    for box in re.findall(r'<input [^>]*id="(id_date_joined_\d)"', page):
        assert f'<label for="{box}">' in page


def test_it_comes_after_the_styles_of_django(admin_client):
    page = admin_client.get("/admin/auth/user/add/").text
    *_, last = re.findall(r'<link rel="stylesheet" href="([^"]+)"', page)
    assert "polls/admin" in last
