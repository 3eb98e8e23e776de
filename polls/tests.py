"""A small suite in the shape of the Django tutorial's, for manage.py test; all the others are in tests/."""

import datetime

from django.test import TestCase, TransactionTestCase
from django.urls import reverse
from django.utils import timezone

from .models import Choice, Question
from .voting.cast import cast


def ask(text: str, *choices: str, hours: float = -1) -> Question:
    """Make a question that opens so many hours from now."""
    opens = timezone.now() + datetime.timedelta(hours=hours)
    question = Question.objects.create(question_text=text, pub_date=opens)
    for choice in choices:
        question.choice_set.create(choice_text=choice)
    return question


class QuestionTests(TestCase):
    def test_published_recently_is_within_the_last_day(self):
        for hours, recently in ((-25, False), (-23, True), (1, False)):
            question = ask("When?", hours=hours)
            self.assertIs(question.was_published_recently(), recently)


class IndexTests(TestCase):
    def shown(self):
        return self.client.get(reverse("polls:index")).context["latest_question_list"]

    def test_it_says_when_there_are_no_polls(self):
        page = self.client.get(reverse("polls:index"))
        self.assertContains(page, "No polls are available.")
        self.assertQuerySetEqual(page.context["latest_question_list"], [])

    def test_it_shows_what_is_published_newest_first(self):
        older, newer = ask("Older?", hours=-2), ask("Newer?", hours=-1)
        ask("Later?", hours=1)
        self.assertQuerySetEqual(self.shown(), [newer, older])

    def test_it_shows_at_once_what_has_just_been_published(self):
        self.assertQuerySetEqual(self.shown(), [])
        question = ask("Now?")
        self.assertQuerySetEqual(self.shown(), [question])


class DetailTests(TestCase):
    def test_it_shows_the_choices(self):
        question = ask("Which colour?", "Red", "Blue")
        page = self.client.get(reverse("polls:detail", args=[question.pk]))
        self.assertEqual(page.context["question"], question)
        self.assertContains(page, "Red")
        self.assertContains(page, "Blue")

    def test_a_question_of_the_future_is_not_found(self):
        question = ask("Later?", "Yes", hours=1)
        page = self.client.get(reverse("polls:detail", args=[question.pk]))
        self.assertEqual(page.status_code, 404)


class ResultsTests(TestCase):
    def test_it_shows_the_votes(self):
        question = ask("Which colour?", "Red", "Blue")
        cast(question, "a" * 32, [question.choice_set.get(choice_text="Red").pk])
        page = self.client.get(reverse("polls:results", args=[question.pk]))
        self.assertEqual(page.context["question"], question)
        self.assertContains(page, "100.0%")

    def test_it_shows_that_there_are_none_yet(self):
        question = ask("Which drink?", "Tea", "Coffee")
        page = self.client.get(reverse("polls:results", args=[question.pk]))
        self.assertEqual(page.context["ballots"], 0)
        self.assertContains(page, "0 ballots")

    def test_a_question_of_the_future_is_not_found(self):
        question = ask("Later?", "Yes", hours=1)
        page = self.client.get(reverse("polls:results", args=[question.pk]))
        self.assertEqual(page.status_code, 404)


class VoteTests(TestCase):
    def vote(self, question: Question, **form: int):
        return self.client.post(reverse("polls:vote", args=[question.pk]), form)

    def test_a_vote_is_counted_and_leads_to_the_results(self):
        question = ask("Which colour?", "Red", "Blue")
        red = question.choice_set.get(choice_text="Red")
        results = reverse("polls:results", args=[question.pk])
        self.assertRedirects(self.vote(question, choice=red.pk), results)
        self.assertEqual(Choice.objects.get(pk=red.pk).votes, 1)
        self.assertContains(self.client.get(results), "1 ballot")

    def test_a_ranked_vote_is_counted(self):
        question = ask("Which drink?", "Tea", "Coffee")
        Question.objects.filter(pk=question.pk).update(kind="ranked")
        coffee = question.choice_set.get(choice_text="Coffee")
        self.vote(question, rank1=coffee.pk)
        page = self.client.get(reverse("polls:results", args=[question.pk]))
        self.assertContains(page, "Coffee would be elected now")

    def test_nothing_selected_is_said_and_not_counted(self):
        question = ask("Which colour?", "Red", "Blue")
        page = self.vote(question)
        self.assertContains(page, "You didn't select a choice.", html=True)
        self.assertQuerySetEqual(question.choice_set.filter(votes__gt=0), [])


class CommittedVoteTests(TransactionTestCase):
    """As the site writes votes: outside of a test's own transaction."""

    def test_each_browser_has_one_vote(self):
        question = ask("Which colour?", "Red", "Blue")
        red, blue = question.choice_set.order_by("id")
        address = reverse("polls:vote", args=[question.pk])
        for choice in (red, blue):
            self.client.post(address, {"choice": choice.pk})
        self.client_class().post(address, {"choice": blue.pk})
        votes = question.choice_set.order_by("id").values_list("votes", flat=True)
        self.assertQuerySetEqual(votes, [0, 2])
