"""Votes a second on one question, by many writers at once, with its running total and without.

usage: [python tests/support/postgres.py] python -m bench.hot_poll [--writers 1,8,32] [--seconds 3] [--rounds 3]

Each writer is a process that casts ballots of new voters for one question, as
the site does but without the web. The ceiling is the same ballot and mark with
no total: what the row that all votes share costs at most. Where DATABASE_URL is
not set, on SQLite.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from multiprocessing.synchronize import Barrier


def _set_up() -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = "polls.settings"
    import django

    django.setup()


def _cast(pk: int) -> None:
    from polls.models import Question
    from polls.voting.cast import cast

    question = Question.objects.get(pk=pk)
    choice = min(question.choice_texts)
    while (yield):
        cast(question, os.urandom(16).hex(), [choice])


def _insert_alone(pk: int) -> None:
    """Write ballot and mark by the statements of the site, and no total."""
    from polls.voting import ballot_sql

    ballot_sql.TOTAL = "UPDATE polls_choice SET votes = :votes WHERE FALSE"
    ballot_sql.LOCK = "SELECT"
    ballot_sql.ALL_IN_ONE = (
        f"{ballot_sql.NEW_ROWS}, ballot AS ({ballot_sql.BALLOTS}), mark AS ({ballot_sql.MARKS})"
        " SELECT receipt, id FROM ballot"
    )
    return _cast(pk)


KINDS = {"ballot and total": _cast, "ballot alone": _insert_alone}


def writer(
    kind: str, pk: int, barrier: Barrier, seconds: float, counts: multiprocessing.Queue
) -> None:
    _set_up()
    write = KINDS[kind](pk)
    next(write)
    write.send(True)
    barrier.wait(60)
    until, count = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        write.send(True)
        count += 1
    counts.put(count)


def measure(kind: str, pk: int, writers: int, seconds: float) -> float:
    """Return votes a second."""
    context = multiprocessing.get_context("spawn")
    barrier, counts = context.Barrier(writers), context.Queue()
    arguments = (kind, pk, barrier, seconds, counts)
    processes = [context.Process(target=writer, args=arguments) for _ in range(writers)]
    for process in processes:
        process.start()
    total = sum(counts.get(timeout=seconds + 90) for _ in processes)
    for process in processes:
        process.join(30)
    return total / seconds


def ask() -> int:
    from polls.models import Choice, Question

    question = Question.objects.create(question_text="How hot?")
    for text in ("Very", "Not very"):
        Choice.objects.create(question=question, choice_text=text)
    return question.pk


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--writers", default="1,8,32")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("DATA_DIR", folder)
        _set_up()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        print(f"| writers | {' | '.join(KINDS)} |\n|---|---|---|")
        for writers in map(int, options.writers.split(",")):
            rates: dict[str, list[float]] = {kind: [] for kind in KINDS}
            for _ in range(options.rounds):
                for kind in KINDS:
                    rate = measure(kind, ask(), writers, options.seconds)
                    rates[kind].append(rate)
            medians = [f"{statistics.median(rates[kind]):,.0f}" for kind in KINDS]
            print(f"| {writers} | {' | '.join(medians)} |", flush=True)


if __name__ == "__main__":
    main()
