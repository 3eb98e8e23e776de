from argparse import ArgumentParser

from django.core.management.base import BaseCommand, CommandError

from ... import secret
from ...models import Question

IN_ENVIRONMENT = (
    "The secret is in {place}, where no command can change it. Add a new one to SECRET_KEY_FALLBACKS, on all machines, and "
    "restart them. Then let that be SECRET_KEY, put the one of today in its place in SECRET_KEY_FALLBACKS, and restart them again."
)


class Command(BaseCommand):
    help = (
        "Take a new secret, and lose no voter: make one, restart the site, which knows both then, use the new one, and "
        "restart it again. Polls that there are keep the old one."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        steps = parser.add_mutually_exclusive_group()
        steps.add_argument(
            "--use",
            action="store_true",
            help="use the new one, once all workers have started anew since it was made",
        )
        steps.add_argument(
            "--drop",
            action="store_true",
            help="delete the older ones that no poll needs which is not closed",
        )

    def handle(self, use: bool, drop: bool, **options: object) -> None:
        # Made by an earlier version that ran beside this one.
        unnamed = Question.objects.filter(secret_name="")
        unnamed.update(secret_name=secret.current())
        if not secret.is_kept_in_files():
            raise CommandError(IN_ENVIRONMENT.format(place=secret.place()))
        if drop:
            self._drop()
        elif use:
            self._use()
        else:
            self._make()

    def _make(self) -> None:
        if not secret.make_next():
            raise CommandError(
                "A new secret is there already. Restart the site if you have not since, then say rotatesecret --use."
            )
        self.stdout.write(
            "A new secret is made, and not used yet. Restart or reload the site, so that all workers know it; then say "
            "rotatesecret --use."
        )

    def _use(self) -> None:
        try:
            is_used = secret.use_next()
        except TimeoutError:
            raise CommandError(
                "A worker of the site has run since before the new secret was made, and does not know it. Restart or reload "
                "the site, and say this again once the old workers have ended."
            ) from None
        if not is_used:
            raise CommandError("There is no new secret. Say rotatesecret first.")
        self.stdout.write(
            f"Restart or reload the site: it uses the new secret then. Keep a copy of {secret.place()}. After the close of "
            "the polls that there are, rotatesecret --drop deletes the old one."
        )

    def _drop(self) -> None:
        needed = Question.objects.not_closed().values_list("secret_name", flat=True)
        kept, dropped = secret.drop_older(set(needed))
        self.stdout.write(
            f"Older secrets that were deleted: {dropped}. Kept, for polls that are not closed: {kept}. Restart or reload the site."
        )
