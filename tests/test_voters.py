"""What is kept of a voter, and what it says about them."""

import pytest
from django.test import RequestFactory

from polls import secret
from polls.models import Ballot
from polls.voting.identity import identify, new_identity, voter_key


def test_a_voter_has_another_key_on_each_question(ask):
    voter = new_identity()
    keys = {voter_key(ask(f"Question {n}?"), voter) for n in range(3)}
    assert len(keys) == 3
    assert all(len(key) == 32 for key in keys)


def test_the_key_depends_on_the_secret_and_the_salt(question, settings):
    voter = new_identity()
    first = voter_key(question, voter)
    assert voter_key(question, voter) == first
    question.voter_salt = "another"
    second = voter_key(question, voter)
    settings.SECRET_KEY = "another" * 8
    question.secret_name = secret.current()
    assert len({first, second, voter_key(question, voter)}) == 3


def test_the_cookie_is_nowhere_in_the_database(client, question):
    client.get(f"/polls/{question.pk}/")
    red = question.choice_set.first()
    client.post(
        f"/polls/{question.pk}/vote/",
        {"choice": red.pk},
        headers={"user-agent": "Telltale/1.0"},
        REMOTE_ADDR="203.0.113.7",
    )
    kept = " ".join(str(value) for row in Ballot.objects.values_list() for value in row)
    voter = client.cookies["voter"].value.split(":")[0]
    assert len(voter) > 20
    for telltale in (voter, "203.0.113.7", "Telltale"):
        assert telltale not in kept


@pytest.mark.parametrize("damage", ["", "x", ":", "{}x", "x{}", "a:b"])
def test_a_damaged_cookie_is_nobody(client, question, damage):
    sound = client.get(f"/polls/{question.pk}/").cookies["voter"].value
    request = RequestFactory().get("/")
    request.COOKIES["voter"] = sound
    assert identify(request, question) == sound.split(":")[0]
    request.COOKIES["voter"] = damage.format(sound)
    assert identify(request, question) is None
