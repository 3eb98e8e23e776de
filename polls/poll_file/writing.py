"""Polls as a file in YAML, as reading takes it."""

import datetime
from collections.abc import Iterator

import yaml
from django.db.models import QuerySet
from django.utils import timezone

from ..models import Question
from .fields import FIELDS, LIMITS


class _Writer(yaml.SafeDumper):
    """Lists stand further in than the key that they belong to, as people write them."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)


def write_polls(questions: QuerySet[Question]) -> Iterator[str]:
    """Write these questions, each as a part of the file."""
    yield "# Polls, as manage.py importpolls reads them. Times are in the zone of the site.\n"
    ordered = questions.order_by("pk").prefetch_related("choice_set")
    for question in ordered.iterator(chunk_size=500):
        choices = sorted(question.choice_set.all(), key=lambda choice: choice.pk)
        poll = dict(_said(question)) | {"choices": [c.choice_text for c in choices]}
        text = yaml.dump(
            [poll], Dumper=_Writer, allow_unicode=True, sort_keys=False, width=10_000
        )
        yield f"\n{text}"


def _said(question: Question) -> Iterator[tuple[str, object]]:
    for key, field_ in FIELDS.items():
        value = getattr(question, field_.name)
        if value in (None, "") or key in LIMITS and not question.rules.has_limits:
            continue
        is_time = isinstance(value, datetime.datetime)
        yield key, timezone.localtime(value) if is_time else value
