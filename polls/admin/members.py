"""The list of members that an organiser pastes: read, refused by line, and made into accounts."""

import csv
from collections.abc import Iterator
from typing import NamedTuple

from django import forms
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

# Members at a time: their slips are drawn in a few seconds.
MOST = 500
# Lines that are told of where many are wrong.
MOST_ERRORS = 20


class Member(NamedTuple):
    """A line of the list."""

    line: int
    name: str
    groups: list[str]


class MembersForm(forms.Form):
    members = forms.CharField(
        label=gettext_lazy("Members, one a line"),
        # Less than csv takes for one cell.
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 12, "cols": 60, "spellcheck": "false"}),
        help_text=gettext_lazy(
            "A user name, and after commas the groups, if any: “ann, Organisers”. Organisers is the group of "
            "those who run the polls. Columns of a spreadsheet can be pasted too. User names have letters, digits and @ . + - _, and no spaces. All accounts are made, or none."
        ),
        error_messages={"required": gettext_lazy("Write a user name on each line.")},
    )

    def clean_members(self) -> list[Member]:
        """Return the lines. Raises ValidationError with all that is wrong in them, by line."""
        members = list(_read(self.cleaned_data["members"]))
        if len(members) > MOST:
            sentence = _("Make at most %(number)s accounts at a time.")
            raise ValidationError(sentence % {"number": MOST})
        errors = list(_wrong(members))
        left = len(errors) - MOST_ERRORS
        if left > 0:
            more = ngettext("And %(number)s more.", "And %(number)s more.", left)
            errors = [*errors[:MOST_ERRORS], more % {"number": left}]
        if errors:
            raise ValidationError(errors)
        return members

    def save(self) -> list[User]:
        """Make the accounts, all or none. Raises IntegrityError if one of the names was taken meanwhile."""
        members: list[Member] = self.cleaned_data["members"]
        groups = Group.objects.in_bulk(field_name="name")
        with_rights = Group.objects.filter(permissions__isnull=False)
        staff = set(with_rights.values_list("name", flat=True))
        with transaction.atomic():
            users = User.objects.bulk_create(
                # No password fits until its holder has set one; who may do something in the admin must get in.
                User(
                    username=member.name,
                    password=make_password(None),
                    is_staff=not staff.isdisjoint(member.groups),
                )
                for member in members
            )
            belongs = User.groups.through
            belongs.objects.bulk_create(
                belongs(user=user, group=groups[name])
                for user, member in zip(users, members)
                for name in dict.fromkeys(member.groups)
            )
        return users


def _read(text: str) -> Iterator[Member]:
    """Yield the lines that are not empty. Between columns stand commas of any keyboard, or what a spreadsheet puts there."""
    between = next((mark for mark in "\t;،，" if mark in text), ",")
    for number, line in enumerate(text.splitlines(), 1):
        rows = csv.reader([line], delimiter=between)
        cells = [cell.strip() for row in rows for cell in row]
        if any(cells):
            name = User.normalize_username(cells[0])
            yield Member(number, name, [cell for cell in cells[1:] if cell])


def _wrong(members: list[Member]) -> Iterator[str]:
    """Say what is wrong in these lines."""
    # All spellings of a name are one for who logs in.
    accounts = User.objects.values_list("username", flat=True)
    taken = {name.casefold() for name in accounts}
    groups = set(Group.objects.values_list("name", flat=True))
    lines: dict[str, int] = {}
    for member in members:
        place = {"line": member.line, "name": member.name}
        name = member.name.casefold()
        if name in lines:
            sentence = _("Line %(line)s: “%(name)s” stands in line %(first)s already.")
            yield sentence % {**place, "first": lines[name]}
        elif name in taken:
            yield _("Line %(line)s: there is an account “%(name)s” already.") % place
        lines.setdefault(name, member.line)
        for error in _wrong_name(member.name):
            sentence = _("Line %(line)s, “%(name)s”: %(error)s")
            yield sentence % {**place, "error": error}
        for group in sorted({*member.groups} - groups):
            sentence = _("Line %(line)s: there is no group “%(group)s”.")
            yield sentence % {**place, "group": group}


def _wrong_name(name: str) -> list[str]:
    try:
        User._meta.get_field("username").clean(name, None)
    except ValidationError as error:
        return error.messages
    return []
