"""ballots.csv: the ballots of a closed question, for anyone to count again.

A line a ballot, sorted by receipt, so that the file says nothing of who came
when. A choice is written with its number on the ballot page: that settles ties,
and keeps a spreadsheet from running its text as a formula.
"""

import csv
import hashlib
import io
import itertools
import threading
from collections.abc import Iterator

from django.db import transaction

from .models import Kind, Mark, Question, spell

# Ballots to a piece: what is in memory at any moment.
PIECE = 1000

_at_work = threading.Lock()


def _rows(question: Question) -> Iterator[list[str]]:
    offered = question.offered.items()
    names = {pk: f"{n}. {text}" for n, (pk, text) in enumerate(offered, 1)}
    most = question.most_choices(len(names))
    word = "rank" if question.kind == Kind.RANKED else "choice"
    yield ["receipt", *(f"{word} {n}" for n in range(1, most + 1))]
    marks = Mark.objects.filter(ballot__question=question)
    marks = marks.order_by("ballot__receipt", "rank")
    rows = marks.values_list("ballot__receipt", "choice_id").iterator()
    for receipt, ballot in itertools.groupby(rows, key=lambda row: row[0]):
        chosen = [names[pk] for _, pk in ballot]
        yield [spell(receipt), *chosen, *[""] * (most - len(chosen))]


def pieces(question: Question) -> Iterator[bytes]:
    """Yield the file in pieces. To be read at one go: it keeps a cursor of the database open."""
    rows_left = _rows(question)
    while rows := list(itertools.islice(rows_left, PIECE)):
        text = io.StringIO()
        csv.writer(text).writerows(rows)
        yield text.getvalue().encode()


def fingerprint(question: Question) -> str:
    """Return the SHA-256 of the file, fixed when it is first asked for after the close.

    Empty while another thread works it out, which takes seconds for a million
    ballots: everyone who watched the close asks at once.
    """
    if question.ballots_sha256 or question.ballots_deleted_at:
        return question.ballots_sha256
    if not _at_work.acquire(blocking=False):
        return ""
    try:
        with transaction.atomic():
            # A vote of the last moment may not be committed yet: it holds its choices.
            question.choice_set.lock()
        digest = hashlib.sha256()
        for piece in pieces(question):
            digest.update(piece)
        unfixed = Question.objects.filter(pk=question.pk, ballots_sha256="")
        unfixed.update(ballots_sha256=digest.hexdigest())
        question.refresh_from_db(fields=["ballots_sha256"])
        return question.ballots_sha256
    finally:
        _at_work.release()
