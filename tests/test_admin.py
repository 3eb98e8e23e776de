import re

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from polls.models import Choice, Question
from polls.voting.cast import cast
from polls.voting.identity import make_codes
from tests.support.admin_forms import LIST, act, change_path, form


def test_it_adds_a_question_with_its_choices(admin_client):
    response = admin_client.post(f"{LIST}add/", form())
    assert response.status_code == 302
    question = Question.objects.get()
    assert [c.choice_text for c in question.choice_set.order_by("id")] == [
        "Left",
        "Right",
    ]


@pytest.mark.parametrize("choices", [[], ["Left"]])
def test_it_requires_two_choices(admin_client, choices):
    page = admin_client.post(f"{LIST}add/", form(choices=choices))
    assert "A question needs at least 2 choices." in page.text
    assert Question.objects.count() == 0


def test_it_rejects_closing_before_opening(admin_client):
    more = {"closes_at_0": "2001-01-01", "closes_at_1": "00:00:00"}
    page = admin_client.post(f"{LIST}add/", form(**more))
    assert "A question cannot close before it is published." in page.text


def test_one_choice_ignores_the_numbers_of_the_others(admin_client):
    """The numbers are hidden by a style; what a page without it sends is one choice all the same."""
    more = {"min_choices": "x", "max_choices": "7"}
    admin_client.post(f"{LIST}add/", form(**more))
    question = Question.objects.get()
    assert (question.min_choices, question.max_choices) == (1, None)


def test_a_kind_that_becomes_one_choice_takes_its_numbers_along(admin_client, question):
    Question.objects.update(kind="several", min_choices=2, max_choices=2)
    data = form("?", ["Red", "Blue"], question.choice_set.order_by("id"))
    data |= {"min_choices": "2", "max_choices": "2"}
    admin_client.post(f"{LIST}{question.pk}/change/", data)
    question.refresh_from_db()
    assert (question.kind, question.min_choices, question.max_choices) == (
        "one",
        1,
        None,
    )


def test_it_requires_as_many_choices_as_a_ballot_does(admin_client):
    page = admin_client.post(f"{LIST}add/", form(kind="several", min_choices="3"))
    assert "A ballot needs at least 3 choices, and there are 2." in page.text
    assert Question.objects.count() == 0


def test_it_rejects_more_ranks_than_there_is_room_for(admin_client):
    page = admin_client.post(f"{LIST}add/", form(kind="ranked", max_choices="51"))
    assert "A ranking has room for 50." in page.text
    assert Question.objects.count() == 0


def test_it_lists_kind_and_who_votes(admin_client, question):
    Question.objects.update(kind="several", voters="codes")
    page = admin_client.get(LIST).text
    assert '<td class="field-kind_of_question">Several choices</td>' in page
    assert '<td class="field-who_votes">By invitation code</td>' in page


def test_it_counts_ballots_and_not_marks(admin_client, question):
    Question.objects.update(kind="several")
    question.refresh_from_db()
    cast(question, "a" * 32, list(question.choice_set.values_list("pk", flat=True)))
    page = admin_client.get(LIST)
    assert '<td class="field-ballots">1</td>' in page.text


def test_it_lists_state_dates_and_ballots(admin_client, ask):
    ask("Later?", opens=1)
    ask("Over?", opens=-2, closes=-1)
    now = ask("Now?", "Yes", "No")
    cast(now, "a" * 32, [now.choice_set.first().pk])
    page = admin_client.get(LIST)
    rows = {q.question_text: q.ballots for q in page.context["cl"].result_list}
    assert rows == {"Later?": 0, "Over?": 0, "Now?": 1}
    for state in ("Scheduled", "Open", "Closed"):
        assert f'<td class="field-state">{state}</td>' in page.text


@pytest.mark.parametrize("state", ["scheduled", "open", "closed"])
def test_it_filters_by_state(admin_client, ask, state):
    ask("scheduled", opens=1)
    ask("closed", opens=-2, closes=-1)
    ask("open")
    page = admin_client.get(LIST, {"state": state})
    assert [q.question_text for q in page.context["cl"].result_list] == [state]


def test_it_searches(admin_client, ask):
    ask("Tea?")
    ask("Coffee?")
    page = admin_client.get(LIST, {"q": "tea"})
    assert [q.question_text for q in page.context["cl"].result_list] == ["Tea?"]


def hidden(page):
    """Return what the form of a page posts."""
    inputs = re.findall(r'type="hidden" name="(\w+)" value="(\w+)"', page.text)
    return {name: value for name, value in inputs if name != "csrfmiddlewaretoken"}


def test_close_now_asks_first(admin_client, question, ask):
    cast(question, "a" * 32, [question.choice_set.first().pk])
    page = act(admin_client, "close_now", question, ask("<b>Later?", opens=1))
    assert "Which colour?</a> (1 ballot)" in page.text and "Later?" not in page.text
    assert "Not open, and left as they are: 1." in page.text
    assert "people have voted on cannot be opened again." in page.text
    assert Question.objects.closed().count() == 0


def test_close_now_closes_what_its_page_named(admin_client, question, ask):
    ask("Another?")
    sent = hidden(act(admin_client, "close_now", question))
    page = admin_client.post(LIST, sent, follow=True)
    assert "Closed: 1." in page.text
    assert Question.objects.closed().get() == question
    logged = LogEntry.objects.get()
    assert (logged.object_repr, logged.change_message) == (
        "Which colour?",
        "Closed now.",
    )


def test_close_now_leaves_what_is_not_open(admin_client, question, ask):
    page = act(admin_client, "close_now", ask("Later?", opens=1))
    assert "Not open, and left as they were: 1." in page.text
    sent = hidden(act(admin_client, "close_now", question))
    question.close()
    closed = Question.objects.get(pk=question.pk).closes_at
    page = admin_client.post(LIST, sent, follow=True)
    assert "Not open, and left as they were: 1." in page.text
    assert Question.objects.get(pk=question.pk).closes_at == closed


def test_an_open_question_has_a_button_to_close_it(admin_client, question):
    path = f"{LIST}{question.pk}/change/"
    page = admin_client.get(path).text
    form = page[page.index("Close now</button>") - 400 :].partition("<form")[2]
    assert f'action="{LIST}"' in form and 'name="action" value="close_now"' in form
    assert f'name="_selected_action" value="{question.pk}"' in form
    question.close()
    assert "Close now" not in admin_client.get(path).text


def test_duplicate_makes_a_scheduled_copy(admin_client, question):
    act(admin_client, "duplicate", question)
    assert Question.objects.scheduled().get().choice_set.count() == 2


def test_it_leads_to_the_public_page(admin_client, question):
    page = admin_client.get(f"{LIST}{question.pk}/change/").text
    assert "View on site" in page
    link = page.split('class="viewsitelink"')[0].rsplit('href="', 1)[1].split('"')[0]
    target = admin_client.get(link).headers["Location"]
    assert target.endswith(f"/polls/{question.pk}/")


def test_votes_cannot_be_written(admin_client, question):
    red, blue = existing = list(question.choice_set.order_by("id"))
    data = form("Forged?", ["Red", "Blue"], existing, **{"choice_set-0-votes": "99"})
    admin_client.post(f"{LIST}{question.pk}/change/", data)
    assert Question.objects.get().question_text == "Forged?"
    assert Choice.objects.get(pk=red.pk).votes == 0


def test_ballots_have_no_page(admin_client, question):
    for model in ("ballot", "mark", "choice"):
        assert admin_client.get(f"/admin/polls/{model}/").status_code == 404


def test_a_question_is_deleted_with_its_ballots(admin_client, question):
    cast(question, "a" * 32, [question.choice_set.first().pk])
    admin_client.post(f"{LIST}{question.pk}/delete/", {"post": "yes"})
    assert Question.objects.count() == 0


def test_deleting_says_how_many_codes_go_along(admin_client, question):
    make_codes(question, 3)
    page = admin_client.get(f"{LIST}{question.pk}/delete/").text
    assert "Invitation codes: 3" in page or "invitation codes: 3" in page


def test_markup_is_shown_as_text(admin_client, ask):
    question = ask("<script>alert(1)</script>", "<b>x</b>")
    for path in (LIST, f"{LIST}{question.pk}/change/"):
        page = admin_client.get(path).text
        assert "<script>alert" not in page and "<b>x" not in page


def test_it_requires_an_organiser(client, question):
    assert client.get(LIST).status_code == 302
    act(client, "close_now", question, sure="yes")
    assert Question.objects.get().is_open


def test_actions_require_their_permission(client, question):
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_question"))
    client.force_login(viewer)
    act(client, "close_now", question)
    act(client, "close_now", question, sure="yes")
    act(client, "duplicate", question)
    assert "Close now" not in client.get(f"{LIST}{question.pk}/change/").text
    assert Question.objects.open().count() == Question.objects.count() == 1


@pytest.mark.parametrize("number", [10, 10_000])
def test_the_list_takes_a_fixed_number_of_queries(
    admin_client, django_assert_num_queries, number
):
    questions = [Question(question_text=f"Question {n}?") for n in range(number)]
    Question.objects.bulk_create(questions)
    with django_assert_num_queries(5):
        assert (
            admin_client.get(reverse("admin:polls_question_changelist")).status_code
            == 200
        )


def test_the_list_sums_the_ballots_of_its_own_page_only(
    admin_client, ask, django_assert_num_queries
):
    """In a query of its own: a subquery is worked out for all pages before on PostgreSQL."""
    asked = [ask(f"Question {n}?", "Yes", "No") for n in range(101)]
    cast(asked[0], "a" * 32, [asked[0].choice_set.first().pk])
    with django_assert_num_queries(5) as queries:
        page = admin_client.get(f"{LIST}?p=2")
    assert [q.ballots for q in page.context["cl"].result_list] == [1]
    sums = [query["sql"] for query in queries if "SUM(" in query["sql"]]
    assert len(sums) == 1
    assert f"IN ({asked[0].pk})" in sums[0] and "LIMIT" not in sums[0]


@pytest.mark.parametrize("number", [2, 50])
def test_the_page_of_a_question_takes_a_fixed_number_of_queries(
    admin_client, ask, django_assert_num_queries, number
):
    question = ask("Many?", *map(str, range(number)))
    cast(question, "a" * 32, [question.choice_set.first().pk])
    # Django keeps the content types that the first page has asked for.
    admin_client.get(change_path(question))
    with django_assert_num_queries(6):
        admin_client.get(change_path(question))
