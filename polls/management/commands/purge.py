import datetime
from argparse import ArgumentParser

from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from ... import retention
from ...counting.ballots_csv import fix_fingerprint
from ...counting.recount import wrong_ballots, wrong_totals
from ...models import Ballot, Invitation, Question, QuestionQuerySet
from ...retention import delete_ballots, forget_voters

WHY_NOTHING = (
    "neither an option nor FORGET_VOTERS_DAYS, DELETE_BALLOTS_DAYS or DELETE_POLLS_DAYS "
    "says after how many days something goes."
)


class Command(BaseCommand):
    help = (
        "Erase what ties voters to ballots, delete ballots and delete polls, so many days after the close. "
        "Sessions that have ended are deleted too, and with what is forgotten go all sessions from before its close, "
        "organisers' too. "
        "Without --yes it only says what it would do."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        for name, what in (
            ("forget-voters", "erase what ties voters to ballots"),
            ("delete-ballots", "delete the ballots, and keep the totals"),
            ("delete-polls", "delete the polls"),
        ):
            variable = f"{name.upper().replace('-', '_')}_DAYS"
            parser.add_argument(
                f"--{name}",
                type=int,
                metavar="DAYS",
                default=getattr(settings, variable),
                help=f"{what} so many days after the close; {variable} without it",
            )
        parser.add_argument("--yes", action="store_true", help="do it")

    def handle(
        self,
        forget_voters: int | None,
        delete_ballots: int | None,
        delete_polls: int | None,
        yes: bool,
        **options: object,
    ) -> None:
        days = forget_voters, delete_ballots, delete_polls
        if any(number is not None and not 0 <= number <= 9999 for number in days):
            raise CommandError("Use a number of days from 0 to 9999.")
        if yes:
            # Django leaves those that have ended in the table.
            call_command("clearsessions")
            self.stdout.write("Ended sessions were cleared.")
        unfinished = yes and retention.is_due()
        if days == (None, None, None) and not unfinished:
            self.stdout.write(f"There is nothing {'else ' * yes}to do: {WHY_NOTHING}")
            return
        groups = _due(*days)
        if not any(groups) and not unfinished:
            self.stdout.write("No poll has been closed for so long.")
        elif yes:
            self._purge_for_good(groups, unfinished)
        else:
            self._say(*groups)

    def _purge_for_good(self, groups: list[list[Question]], unfinished: bool) -> None:
        with retention.for_good():
            refused = self._purge(*groups)
        if unfinished:
            self.stdout.write("What was deleted before is gone from the files too.")
        if refused:
            raise CommandError(
                "Some questions were left as they are; the others are done."
            )

    def _say(self, *groups: list[Question]) -> None:
        """Say what would be done."""
        words = ("delete the poll", "delete the ballots", "forget the voters")
        for questions, word in zip(groups, words):
            for question in questions:
                ballots = question.ballot_set.count()
                self.stdout.write(
                    f"Question {question.pk} “{question}”, closed {question.closes_at:%Y-%m-%d}, "
                    f"ballots: {ballots}: would {word}."
                )
        self.stdout.write(
            "All sessions from before these polls closed would be deleted, organisers' too."
        )
        self.stdout.write("Nothing has been done. Say --yes to do it.")

    def _purge(
        self, polls: list[Question], ballots: list[Question], voters: list[Question]
    ) -> int:
        """Do it; return how many questions were refused."""
        for question in polls + ballots + voters:
            # A clock that is set back opens none of them again meanwhile.
            question.stay_closed()
        sound = [q for q in ballots + voters if self._is_sound(q)]
        _forget_log_ins(polls + sound)
        for question in polls:
            self._done(question, f"poll and {delete_ballots(question)} ballots deleted")
            question.delete()
        for question in sound:
            if question in ballots:
                number = delete_ballots(question)
                self._done(question, f"{number} ballots deleted, totals kept")
            else:
                forget_voters(question)
                self._done(question, "voters forgotten")
        return len(ballots + voters) - len(sound)

    def _done(self, question: Question, what: str) -> None:
        self.stdout.write(f"Question {question.pk} “{question}”: {what}.")

    def _is_sound(self, question: Question) -> bool:
        """Tell whether the count adds up, and fix its fingerprint: afterwards nobody can look again."""
        if question.ballots_deleted_at:
            # Broken off the last time, after it was found sound.
            return True
        fix_fingerprint(question)
        found = [*wrong_totals(question), *wrong_ballots(question)]
        for sentence in found:
            self.stderr.write(sentence)
        if found:
            self.stderr.write(
                f"Question {question.pk} is left as it is, for its count does not add up. See manage.py recount."
            )
        return not found


def _due(
    forget_voters: int | None, delete_ballots: int | None, delete_polls: int | None
) -> list[list[Question]]:
    """Return whose poll is to be deleted, whose ballots, and whose voters are to be forgotten."""
    # What goes with its poll, or with its ballots, need not be looked at before.
    polls = _closed(delete_polls)
    ballots = _with_ballots(_closed(delete_ballots)).exclude(pk__in=polls)
    voters = _with_voters(_closed(forget_voters)).exclude(
        Q(pk__in=polls) | Q(pk__in=ballots)
    )
    return [list(questions) for questions in (polls, ballots, voters)]


def _closed(days: int | None) -> QuestionQuerySet:
    """Return the questions that have been closed for so many days."""
    if days is None:
        return Question.objects.none()
    now = timezone.now()
    before = now - datetime.timedelta(days=days)
    return Question.objects.closed(now).filter(closes_at__lte=before).order_by("pk")


def _with_ballots(questions: QuestionQuerySet) -> QuestionQuerySet:
    left = Ballot.objects.filter(question=OuterRef("pk"))
    return questions.filter(Exists(left))


def _with_voters(questions: QuestionQuerySet) -> QuestionQuerySet:
    codes = Invitation.objects.filter(question=OuterRef("pk"))
    # One without votes ties nobody to anything, and may be opened again.
    return questions.voted_on().filter(~Q(voter_salt="") | Exists(codes))


def _forget_log_ins(questions: list[Question]) -> None:
    """Delete the sessions that began before the last of these questions closed: they tell who came when."""
    if not questions:
        return
    closed = max(question.closes_at for question in questions if question.closes_at)
    lasts = datetime.timedelta(seconds=settings.SESSION_COOKIE_AGE)
    Session.objects.filter(expire_date__lte=closed + lasts).delete()
    # All of them, in one statement: PostgreSQL keeps beside a row which transaction was the last to write it.
    User.objects.update(last_login=None)
