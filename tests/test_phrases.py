"""Numbers, times and lists in sentences, each as its language writes them."""

import datetime

import pytest
from django.utils import timezone, translation

from polls import phrases

NOW = datetime.datetime(2026, 11, 24, 13, 27, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    "seconds, words",
    [
        (-5, "Closes in less than a minute"),
        (59, "Closes in less than a minute"),
        (60, "Closes in 1 minute"),
        (3599, "Closes in 59 minutes"),
        (3600, "Closes in 1 hour"),
        (47 * 3600 + 3599, "Closes in 47 hours"),
        (48 * 3600, "Closes in 2 days"),
        (4 * 86400 - 1, "Closes in 3 days"),
        (1500 * 86400, "Closes in 1,500 days"),
    ],
)
def test_it_says_how_long_a_poll_is_open(seconds, words):
    end = NOW + datetime.timedelta(seconds=seconds)
    assert phrases.closes(end, NOW) == words
    assert phrases.opens(end, NOW) == words.replace("Closes", "Opens")


@pytest.mark.parametrize(
    "code, written",
    [
        ("en", "27 November 2026, 13:27 UTC"),
        ("de", "27. November 2026, 13:27 UTC"),
        ("fr", "27 novembre 2026 à 13:27 UTC"),
        ("zh-hans", "2026年11月27日 13:27 UTC"),
    ],
)
def test_a_time_names_its_zone(code, written):
    with translation.override(code):
        assert phrases.moment(NOW + datetime.timedelta(days=3)) == written


def test_a_time_is_in_the_zone_of_the_site():
    with timezone.override("Europe/Paris"):
        assert phrases.moment(NOW).endswith("14:27 CET")


@pytest.mark.parametrize(
    "code, written",
    [
        ("en", "1,234,567 46.6"),
        ("de", "1.234.567 46,6"),
        ("fr", "1\xa0234\xa0567 46,6"),
        ("ar", "1,234,567 46.6"),
        ("zh-hans", "1,234,567 46.6"),
        ("hi", "12,34,567 46.6"),
    ],
)
def test_thousands_are_apart(code, written):
    with translation.override(code):
        assert f"{phrases.number(1234567)} {phrases.number(46.6)}" == written


def test_the_sign_of_a_share_stays_behind_its_number_in_arabic():
    """Beside letters the bare sign would change sides, and not beside a bar."""
    with translation.override("ar"):
        assert phrases.share(46.6) == "46.6\u200e%\u200e"


def test_a_list_ends_with_and():
    assert phrases.list_of(["A"]) == "A"
    assert phrases.list_of(["A", "B"]) == "A and B"
    assert phrases.list_of(["A", "B", "C"]) == "A, B and C"


def test_a_text_of_the_other_direction_stands_by_itself():
    assert phrases.isolated("By the lake") == "By the lake"
    assert phrases.isolated("Café") == "Café"
    assert phrases.isolated("على البحيرة") == "\u2068على البحيرة\u2069"
    with translation.override("ar"):
        assert phrases.isolated("By the lake") == "\u2068By the lake\u2069"
