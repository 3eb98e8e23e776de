"""ballots.csv: the ballots of a closed question, for anyone to count again.

A line a ballot, sorted by receipt, so that the file says nothing of who came
when. A choice is written with its number on the ballot page: that settles ties,
and keeps a spreadsheet from running its text as a formula.
"""

import csv
import functools
import hashlib
import io
import itertools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import IO

from django.db import connection, transaction
from django.db.models import Sum
from django.db.models.functions import Collate

from ..background import after_close
from ..codes import spell
from ..database import database
from ..models import Mark, Question

# Ballots to a chunk: what is in memory at any moment.
CHUNK = 1000

# Up to this many ballots a visitor waits for the file and its fingerprint: a fraction of a second.
SMALL = 20_000

# Seconds that a page waits for the fingerprint of a small poll: a hundred times what it takes.
TIMEOUT = 0.5

# A mark that somebody has put into the database: the app writes only choices of the question.
FOREIGN = "not a choice of this question"


def _rows(question: Question) -> Iterator[list[str]]:
    offered = question.choice_texts.items()
    names = {pk: f"{n}. {text}" for n, (pk, text) in enumerate(offered, 1)}
    most = question.max_marks(len(names))
    column = question.rules.column
    yield ["receipt", *(f"{column} {n}" for n in range(1, most + 1))]
    # Byte by byte on each server: in Danish, AA comes after Z.
    marks = Mark.objects.filter(ballot__question=question)
    marks = marks.order_by(Collate("ballot__receipt", database.bytewise), "rank")
    rows = marks.values_list("ballot__receipt", "choice_id").iterator()
    for receipt, ballot in itertools.groupby(rows, key=lambda row: row[0]):
        chosen = [names.get(pk, FOREIGN) for _, pk in ballot]
        yield [spell(receipt), *chosen, *[""] * (most - len(chosen))]


def chunks(question: Question) -> Iterator[bytes]:
    """Yield the file in chunks. To be read at one go: it keeps a cursor of the database open."""
    rows_left = _rows(question)
    with database.long_statements():
        while rows := list(itertools.islice(rows_left, CHUNK)):
            text = io.StringIO()
            csv.writer(text).writerows(rows)
            yield text.getvalue().encode()


def file_sha256(question: Question) -> str:
    """Return the SHA-256 of the file as the ballots are now."""
    digest = hashlib.sha256()
    for chunk in chunks(question):
        digest.update(chunk)
    return digest.hexdigest()


class Busy(Exception):
    """Another big file is being made on this database. Try again in a few seconds."""


@contextmanager
def one_at_a_time(question: Question) -> Iterator[None]:
    """Make no big file while any worker makes one: that raises Busy.

    Each takes seconds of a processor, and when a poll closes, all who watch ask for it at once.
    """
    if _is_small(question):
        yield
        return
    with database.big_file_lock() as is_held:
        if not is_held:
            raise Busy
        yield


def _is_small(question: Question) -> bool:
    ballots = question.choice_set.aggregate(ballots=Sum("first_marks"))["ballots"]
    return (ballots or 0) <= SMALL


def fingerprint(question: Question) -> str:
    """Return the SHA-256 of a closed question's file, fixed when it is first asked for.

    Empty while a thread works it out, for a big one, or where the database cannot be written at this moment: no page
    waits for that, and a worker that must answer soon does not lose it.
    """
    known = _known_fingerprint(question)
    if known is not None:
        return known
    fix = functools.partial(_fix, question.pk)
    # Where somebody has waited in vain, the next page does not wait again.
    is_stuck = after_close.is_stuck(TIMEOUT)
    tried = after_close.submit((question.pk, "fingerprint"), fix)
    if _is_small(question) and not is_stuck and tried.wait(TIMEOUT):
        question.refresh_from_db(fields=["ballots_sha256"])
    return question.ballots_sha256


def _known_fingerprint(question: Question) -> str | None:
    """Return what is fixed; empty if the ballots were deleted before, and None if it is to be fixed."""
    if question.ballots_sha256 or question.ballots_deleted_at:
        return question.ballots_sha256
    if not question.has_been_voted_on:
        # Nobody has voted: the organiser may still change it, and open it again.
        return file_sha256(question)
    return None


def _fix(pk: int) -> None:
    question = Question.objects.filter(pk=pk).first()
    if question and question.state() == "closed":
        with suppress(Busy), one_at_a_time(question):
            fix_fingerprint(question)


def fix_fingerprint(question: Question) -> str:
    """Work out the fingerprint and keep it, however long it takes; what was kept first stays."""
    known = _known_fingerprint(question)
    if known is not None:
        return known
    # On PostgreSQL the lock is held while the file is read: a vote that set out before the close may come as late as
    # that, and then finds the fingerprint. On SQLite a vote reads the clock with the lock in hand, and need not wait.
    held = transaction.atomic() if connection.vendor == "postgresql" else nullcontext()
    with held:
        with transaction.atomic():
            # A vote of the last moment may not be committed yet: it holds its choices.
            question.choice_set.lock()
        unfixed = Question.objects.filter(pk=question.pk, ballots_sha256="")
        # Race: another worker may have fixed it while this one waited.
        if unfixed.exists():
            sha256 = file_sha256(question)
            unfixed.update(ballots_sha256=sha256, closed_at=question.closes_at)
    question.refresh_from_db(fields=["ballots_sha256"])
    return question.ballots_sha256


def ballots_file(question: Question) -> IO[bytes]:
    """Return the file, open. Raises Busy if it is a big one and another is being made.

    On disk, so that no slow reader holds a cursor of the database open.
    """
    with one_at_a_time(question):
        file = tempfile.SpooledTemporaryFile(max_size=1024 * 1024)
        # Not writelines(), which looks at the size at the end: all of it would be in memory.
        for chunk in chunks(question):
            file.write(chunk)
    file.seek(0)
    return file
