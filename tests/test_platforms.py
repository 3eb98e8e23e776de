"""The files by which platforms start the site: they say what is there, and the site they start takes votes."""

import pytest

from tests.support.people import Voter

NAME = "polls.example.org"


@pytest.mark.postgresql
def test_the_procfile_starts_a_site_that_takes_votes(start, request):
    """As Heroku and its like do: a new database, a proxy with any address, a disk that vanishes, and no terminal."""
    named = {
        "DJANGO_SUPERUSER_USERNAME": "ann",
        "DJANGO_SUPERUSER_PASSWORD": "long and hard to guess",
    }
    platform = {"DYNO": "web.1", "DATA_DIR": "", "SECRET_KEY": "s" * 50} | named
    proxy = {"SITE_URL": f"https://{NAME}", "FORWARDED_ALLOW_IPS": "*"}
    site = start("true", WEB_CONCURRENCY="3", **platform, **proxy)
    site.process.wait(10)
    site.manage("migrate", "-v0", "polls", "zero")
    assert site.restart("honcho start release").process.wait(60) == 0
    site.restart("honcho start web")
    request.addfinalizer(site.stop)
    site.ready()
    assert site.output().count("Booting worker") == 3
    said = {"Host": NAME, "Origin": f"https://{NAME}", "X-Forwarded-Proto": "https"}
    question = site.ask()
    assert Voter(site.base, headers=said).open_and_vote(question).status == 302
    assert site.counts(question) == (1, 1)
    organiser = Voter(site.base, headers=said).log_in(*named.values())
    assert "Log out" in organiser.get("/admin/").text
