"""What the admin keeps of what voters were told, once somebody has voted."""

import datetime

import pytest
from django.contrib.auth.models import Permission, User
from django.utils import timezone
from django.utils.formats import date_format

from polls.models import Choice, Question
from polls.voting.cast import cast, withdraw
from tests.support.admin_forms import LIST, load, read_form, save


@pytest.fixture
def stale(admin_client, question):
    """The page as it was loaded before the first ballot."""
    return load(admin_client, question)


@pytest.fixture
def voted(question, stale):
    cast(question, "a" * 32, [question.choice_set.first().pk])
    return question


def save_now(client, question, **more):
    """Load the page and send it with this changed or forged."""
    return save(client, question, load(client, question), **more)


def rows():
    return list(Question.objects.values()), list(Choice.objects.order_by("pk").values())


def test_it_works(admin_client, voted):
    assert save_now(admin_client, voted, results="closed").status_code == 302
    assert (
        save_now(admin_client, voted, results="closed", may_change=None).status_code
        == 302
    )
    question = Question.objects.get()
    assert (question.results, question.may_change) == ("closed", False)
    assert question.pub_date == voted.pub_date


def test_what_is_frozen_is_text_with_its_reason(admin_client, voted):
    page = admin_client.get(f"{LIST}{voted.pk}/change/").text
    for name in ["question_text", "pub_date_0", "kind", "voters", "receipts"]:
        assert f'name="{name}"' not in page
    assert 'name="choices"' not in page and "<bdi>Red</bdi>" in page
    assert "The wording is what people have voted on." in page
    assert "People have voted, so what they were told stays." in page
    assert "For another wording or other choices, duplicate the poll." in page


def test_results_offer_only_what_is_as_strict(admin_client, voted):
    Question.objects.update(results="closed")
    page = admin_client.get(f"{LIST}{voted.pk}/change/").text
    assert '<option value="closed" selected>' in page
    assert '<option value="organisers">' in page
    assert '<option value="always"' not in page
    assert '<option value="voted"' not in page


CHANGES = [
    ({"question_text": "Other?"}, "“Question” cannot change any more."),
    ({"question_text": ""}, "This field is required."),
    ({"pub_date_0": "2001-01-01"}, "“Opens” cannot change any more."),
    (
        {
            "pub_date_0": "2001-01-01",
            "pub_date_1": "00:00:00",
            "initial-pub_date_0": "2001-01-01",
            "initial-pub_date_1": "00:00:00",
        },
        "“Opens” cannot change any more.",
    ),
    ({"kind": "several"}, "“Kind” cannot change any more."),
    ({"kind": "nonsense"}, "Select a valid choice."),
    ({"voters": "accounts"}, "“Who votes” cannot change any more."),
    ({"receipts": None}, "“Voters get a receipt” cannot change any more."),
    ({"choices": "Other\nBlue"}, "The choices cannot change any more."),
    ({"choices": "Red\nBlue\nNew"}, "The choices cannot change any more."),
    ({"choices": "Blue\nRed"}, "The choices cannot change any more."),
]


TYPED = {
    "question_text": "Other?",
    "pub_date_0": "2001-01-01",
    "closes_at_0": "2099-01-01",
    "kind": "several",
    "voters": "accounts",
    "choices": "Other\nBlue",
}


@pytest.mark.parametrize("more, sentence", CHANGES)
def test_a_stale_page_is_refused_and_keeps_what_was_typed(
    admin_client, voted, stale, more, sentence
):
    before = rows()
    more = more | {"closes_at_0": "2099-01-01", "closes_at_1": "00:00:00"}
    page = save(admin_client, voted, stale, **more)
    assert page.status_code == 200 and page.text.count(sentence) == 1
    assert rows() == before
    assert TYPED.items() & more.items() <= read_form(page).items()
    # Sent again, it is refused again.
    assert save(admin_client, voted, read_form(page), **more).status_code == 200
    assert rows() == before


@pytest.mark.parametrize("more, _", CHANGES)
def test_what_is_shown_as_text_is_not_read(admin_client, voted, more, _):
    before, page = rows(), load(admin_client, voted)
    assert save(admin_client, voted, page, **more).status_code == 302
    assert rows() == before


def test_a_page_that_does_not_say_what_it_showed_is_refused(admin_client, voted):
    before = rows()
    page = save_now(admin_client, voted, frozen=None, results="closed")
    assert page.status_code == 200 and "This field is required." in page.text
    assert rows() == before


def test_nothing_is_text_before_the_first_ballot(admin_client, question):
    more = {"frozen": "kind min_choices results", "kind": "several", "min_choices": 2}
    save_now(admin_client, question, **more)
    question = Question.objects.get()
    assert (question.kind, question.min_choices) == ("several", 2)


def test_a_poll_that_has_closed_since_the_page_was_loaded_stays_closed(
    admin_client, ask
):
    question = ask("Soon?", "Yes", "No", closes=1)
    cast(question, "a" * 32, [question.choice_set.first().pk])
    page = load(admin_client, question)
    hour = datetime.timedelta(hours=1.5)
    dates = {
        "closes_at": question.closes_at - hour,
        "pub_date": question.pub_date - hour,
    }
    Question.objects.update(**dates)
    page["loaded"] = load(admin_client, question)["loaded"]
    answer = save(admin_client, question, page, closes_at_0="2099-01-01")
    assert "The poll has closed and its count is public" in answer.text
    assert Question.objects.get().closes_at == dates["closes_at"]


def test_a_stale_page_that_changes_nothing_frozen_is_saved(admin_client, voted, stale):
    more = {"closes_at_0": "2099-01-01", "closes_at_1": "00:00:00"}
    assert save(admin_client, voted, stale, **more).status_code == 302
    question = Question.objects.get()
    assert question.closes_at.year == 2099
    assert question.pub_date == voted.pub_date


@pytest.mark.parametrize(
    "name, value, looser, sentence",
    [
        ("results", "closed", "voted", "can only get stricter"),
        ("may_change", False, "on", "final cannot be taken back"),
        ("receipts", False, "on", "“Voters get a receipt” cannot"),
    ],
)
def test_it_rejects_a_looser_promise(
    admin_client, voted, name, value, looser, sentence
):
    """Of a page that has it as a field, such as one from before the promise."""
    Question.objects.update(**{name: value})
    before, page = rows(), load(admin_client, voted)
    page["frozen"] = page["frozen"].replace(name, "")
    assert sentence in save(admin_client, voted, page, **{name: looser}).text
    assert rows() == before


def test_a_closed_question_stays_closed_to_the_microsecond(admin_client, voted):
    voted.close()
    closed = Question.objects.get().closes_at
    more = {"closes_at_0": None, "closes_at_1": None}
    assert (
        save_now(admin_client, voted, results="organisers", **more).status_code == 302
    )
    assert Question.objects.get().closes_at == closed
    assert save_now(admin_client, voted, closes_at_0="2099-01-01").status_code == 302
    assert Question.objects.get().closes_at == closed


def test_it_leads_to_the_button_who_ends_a_poll_in_the_past(admin_client, voted):
    question = Question.objects.get()
    Question.objects.update(pub_date=question.pub_date - datetime.timedelta(days=2))
    yesterday = (timezone.now() - datetime.timedelta(days=1)).date().isoformat()
    page = save_now(
        admin_client, voted, closes_at_0=yesterday, closes_at_1="00:00"
    ).text
    assert "To close the poll at once, use “Close now” above the form." in page
    assert ">Close now</button>" in page
    assert Question.objects.get().is_open


def test_the_page_leads_to_a_copy(admin_client, voted):
    assert 'name="_duplicate"' in admin_client.get(f"{LIST}{voted.pk}/change/").text
    page = admin_client.post(f"{LIST}{voted.pk}/duplicate/", follow=True)
    copy = Question.objects.scheduled().get()
    assert page.redirect_chain == [(f"{LIST}{copy.pk}/change/", 302)]
    assert 'name="question_text"' in page.text
    assert "It opens in a week and stays open" in page.text


def test_the_page_says_when_a_copy_closes(admin_client, voted):
    """Of a poll that was closed by hand at once, say."""
    voted.close()
    page = admin_client.post(f"{LIST}{voted.pk}/duplicate/", follow=True)
    copy = Question.objects.scheduled().get()
    assert f"closes {date_format(copy.closes_at, 'DATETIME_FORMAT')}" in page.text


def test_a_copy_takes_a_post_and_permission(client, admin_client, voted):
    path = f"{LIST}{voted.pk}/duplicate/"
    assert admin_client.get(path).status_code == 405
    assert admin_client.post(f"{LIST}999/duplicate/").status_code == 404
    changer = User.objects.create_user("changer", is_staff=True)
    changer.user_permissions.set(
        Permission.objects.filter(codename__in=["view_question", "change_question"])
    )
    client.force_login(changer)
    assert "_duplicate" not in client.get(f"{LIST}{voted.pk}/change/").text
    assert client.post(path).status_code == 403
    assert Question.objects.count() == 1


def test_who_may_only_view_sees_all_as_text(client, voted):
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.set(
        Permission.objects.filter(codename__in=["view_question", "view_choice"])
    )
    client.force_login(viewer)
    page = client.get(f"{LIST}{voted.pk}/change/")
    assert "Which colour?" in page.text and "Red" in page.text
    assert 'name="results"' not in page.text
    assert save_now(client, voted, results="closed").status_code == 403


def test_a_withdrawn_ballot_was_promised_too(question):
    cast(question, "a" * 32, [question.choice_set.first().pk])
    withdraw(question, "a" * 32)
    assert Question.objects.get().has_been_voted_on
