from argparse import ArgumentParser
from collections.abc import Callable

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from ... import retention
from ...erasure import NotOverwritten, erasing, is_overdue
from ...models import Question
from ...retention import Due
from ..progress import Progress

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
        verbosity: int,
        **options: object,
    ) -> None:
        self.progress = Progress(self.stderr, verbosity)
        days = delete_polls, delete_ballots, forget_voters
        if any(number is not None and not 0 <= number <= 9999 for number in days):
            raise CommandError("Use a number of days from 0 to 9999.")
        if yes:
            self._clear_sessions()
        overdue = yes and is_overdue()
        due = retention.due(*days)
        if days == (None, None, None) and not overdue:
            self.stdout.write(f"There is nothing {'else ' * yes}to do: {WHY_NOTHING}")
        elif not any(due) and not overdue:
            self.stdout.write("No poll has been closed for so long.")
        elif yes:
            self._purge_for_good(due, overdue)
        else:
            self._say(due)

    def _clear_sessions(self) -> None:
        # Django leaves those that have ended in the table.
        call_command("clearsessions")
        self.stdout.write("Ended sessions were cleared.")

    def _say(self, due: Due) -> None:
        """Say what would be done."""
        words = ("delete the poll", "delete the ballots", "forget the voters")
        for questions, word in zip(due, words):
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

    def _purge_for_good(self, due: Due, overdue: bool) -> None:
        try:
            with erasing():
                refused = self._purge(due)
                self.progress.begin("Writing the database's files anew.")
        except NotOverwritten as reason:
            raise CommandError(
                f"It is deleted, but the database's files could not be written anew ({reason}), and what was deleted "
                "can still be found in them. Make room, or wait until nobody else uses the database, and say "
                "purge --yes again."
            ) from None
        finally:
            self.progress.clear()
        if overdue:
            self.stdout.write("What was deleted before is gone from the files too.")
        if refused:
            raise CommandError(
                "Some questions were left as they are; the others are done."
            )

    def _purge(self, due: Due) -> int:
        """Do it; return how many questions were refused."""
        for question in [*due.delete_polls, *due.delete_ballots, *due.forget_voters]:
            # A clock that is set back opens none of them again meanwhile.
            question.stay_closed()
        ballots = [q for q in due.delete_ballots if self._adds_up(q)]
        voters = [q for q in due.forget_voters if self._adds_up(q)]
        retention.forget_log_ins(due.delete_polls + ballots + voters)
        for question in due.delete_polls:
            number = retention.delete_ballots(question, self._report(question))
            self._done(question, f"poll and {number} ballots deleted")
            question.delete()
        for question in ballots:
            number = retention.delete_ballots(question, self._report(question))
            self._done(question, f"{number} ballots deleted, totals kept")
        for question in voters:
            retention.forget_voters(question, self._report(question))
            self._done(question, "voters forgotten")
        done = len(ballots + voters)
        return len(due.delete_ballots + due.forget_voters) - done

    def _report(self, question: Question) -> Callable[[int, int], None]:
        return self.progress.saying(f"Question {question.pk}, ballots")

    def _adds_up(self, question: Question) -> bool:
        self.progress.begin(f"Counting question {question.pk} once more.")
        found = retention.last_recount(question)
        self.progress.clear()
        for sentence in found:
            self.stderr.write(sentence)
        if found:
            self.stderr.write(
                f"Question {question.pk} is left as it is, for its count does not add up. See manage.py recount."
            )
        return not found

    def _done(self, question: Question, what: str) -> None:
        self.progress.clear()
        self.stdout.write(f"Question {question.pk} “{question}”: {what}.")
