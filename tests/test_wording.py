"""No vote counts under words that its voter was not shown, also of a program that votes without a page."""

import datetime
import re

import pytest
from django.test import Client
from django.utils import timezone

from polls.models import Ballot, Question
from tests.support import visits
from tests.support.admin_forms import LIST, form
from tests.support.ballots import assert_count_adds_up, vote
from tests.support.races import race

CHANGED = "The poll has just changed. Read it again, then vote."


def test_it_works(question):
    assert vote(Client(), question).status_code == 302


def reword(question):
    question.question_text = "Which shade?"
    question.save()


def change_kind(question):
    question.kind = "several"
    question.save(update_fields=["kind"])


def change_choice(question):
    blue = question.choice_set.get(choice_text="Blue")
    blue.choice_text = "Green"
    blue.save()


def delete_choice(question):
    question.choice_set.get(choice_text="Blue").delete()


def edit_it_while_it_is_taken_back(question):
    before = question.pub_date
    question.pub_date = timezone.now() + datetime.timedelta(hours=1)
    question.save()
    reword(question)
    question.pub_date = before
    question.save()


def use_the_admin(client, question, *choices):
    data = form(str(question), choices)
    response = client.post(f"{LIST}{question.pk}/change/", data)
    assert response.status_code == 302


CHANGES = [
    reword,
    change_kind,
    change_choice,
    delete_choice,
    edit_it_while_it_is_taken_back,
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_worded_anew_takes_a_vote_that_says_which_words(question, change):
    change(question)
    page = vote(Client(), question)
    assert page.status_code == 200 and CHANGED in page.text
    assert not Ballot.objects.exists()
    (wording,) = re.findall(r'name="wording" value="(\w+)"', page.text)
    assert vote(Client(), question, wording=wording).status_code == 302


@pytest.mark.parametrize(
    "choices", [["Red", "Green"], ["Red", "Blue", "Green"], ["Blue", "Red"]]
)
def test_the_admin_notes_what_it_words_anew(admin_client, question, choices):
    use_the_admin(admin_client, question, *choices)
    assert CHANGED in vote(Client(), question).text


def test_a_save_that_changes_no_word_asks_for_none(admin_client, question):
    use_the_admin(admin_client, question, "Red", "Blue")
    question.results = "closed"
    question.save()
    question.choice_set.first().save()
    assert vote(Client(), question).status_code == 302


def test_what_nobody_could_read_is_worded_as_often_as_one_likes(ask):
    question = ask("Which colour?", "Red", "Blue", opens=1)
    for change in (reword, change_choice, change_kind):
        change(question)
    Question.objects.update(pub_date=timezone.now())
    assert vote(Client(), question).status_code == 302


@pytest.mark.parametrize("change", [reword, change_choice, delete_choice])
@pytest.mark.parametrize("says", [True, False])
@pytest.mark.django_db(transaction=True)
def test_a_worker_that_has_the_old_words_in_memory_counts_no_vote(
    handler, red, change, says
):
    words = f"&wording={red.question.wording_digest}" if says else ""
    change(Question.objects.get())
    visit = visits.vote(red, form=words)
    assert visits.send(handler, visit) == [200]
    page = b"".join(message.get("body", b"") for message in visit.sent).decode()
    assert CHANGED in page and not Ballot.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_first_votes_that_race_with_an_edit(ask, admin_client):
    """Two programs, which do not say what they have read: each vote stands under it, or is refused."""

    def edit_and_vote(question, data):
        admin_client.post(f"{LIST}{question.pk}/change/", data)
        vote(Client(), question)

    for _ in range(25):
        question = ask("Which colour?", "Red", "Blue")
        data = form("Which shade?", ["Red", "Green"])
        race(lambda: vote(Client(), question), lambda: edit_and_vote(question, data))
        if question.ballot_set.exists():
            assert_count_adds_up(question)
            assert str(Question.objects.get(pk=question.pk)) == "Which colour?"
            assert not question.choice_set.filter(choice_text="Green").exists()
        else:
            assert str(Question.objects.get(pk=question.pk)) == "Which shade?"
