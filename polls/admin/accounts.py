"""Accounts: many are made at once, and each gets a link with which its holder sets a password.

No mail is needed: the links are printed as slips, or sent by whoever made them. They stand in the answer to the request
that makes them, and nowhere else.
"""

import csv
import datetime
from collections.abc import Iterable
from typing import Any, NamedTuple

from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.models import ADDITION, CHANGE, LogEntry
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.contrib.auth.tokens import default_token_generator
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError
from django.db.models import ManyToManyField, QuerySet
from django.forms import CheckboxSelectMultiple, ModelMultipleChoiceField
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from ..qr import QrCode, draw
from ..site_url import address, is_local
from .members import MOST, MembersForm
from .pages import page

MADE_LINK = "Made a link to set a password."


class Slip(NamedTuple):
    name: str
    link: str
    qr: QrCode


def _link(request: HttpRequest, user: User) -> str:
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    token = default_token_generator.make_token(user)
    return address(request, reverse("set_password", args=[uid, token]))


admin.site.unregister([User, Group])


@admin.register(Group)
class RightsAdmin(GroupAdmin):
    filter_horizontal = []


@admin.register(User)
class AccountAdmin(UserAdmin):
    list_display = ["username", "first_name", "last_name", "is_staff", "is_active"]
    actions = ["make_links"]
    # Django's two lists with arrows have icons whose names no screen reader is allowed to read.
    filter_horizontal = []

    def formfield_for_manytomany(
        self,
        db_field: "ManyToManyField[Any, Any]",
        request: HttpRequest,
        **kwargs: Any,
    ) -> ModelMultipleChoiceField | None:
        if db_field.name == "groups":
            kwargs["widget"] = CheckboxSelectMultiple
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        own = [
            path("members/", view(self.add_members), name="auth_user_members"),
            path("links/", view(self.links), name="auth_user_links"),
        ]
        return own + super().get_urls()

    def add_members(self, request: HttpRequest) -> HttpResponse:
        # As on the page of one account: who could add without changing could make a superuser.
        if not (
            self.has_add_permission(request) and self.has_change_permission(request)
        ):
            raise PermissionDenied
        form = MembersForm(request.POST or None)
        if form.is_valid():
            try:
                users = form.save()
            except IntegrityError:
                sentence = _(
                    "One of these names was taken meanwhile. Send the list again."
                )
                form.add_error("members", sentence)
            else:
                self._log(request, users, ADDITION, "Made from a list.")
                return self._sheet(request, users)
        context = {
            "title": _("Add many accounts"),
            "form": form,
            "is_local": is_local(request),
            "most": MOST,
        }
        return page(self, request, "members", context)

    def links(self, request: HttpRequest) -> HttpResponse:
        """Give the links of a sheet as a file: new ones, for the site has not kept those."""
        if request.method != "POST" or not self.has_change_permission(request):
            raise PermissionDenied
        sent = request.POST.getlist("user")[:MOST]
        ids = [pk for pk in sent if pk.isdecimal() and len(pk) < 19]
        users = list(self._linkable(request, User.objects.filter(pk__in=ids)))
        self._log(request, users, CHANGE, MADE_LINK)
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        response["Content-Disposition"] = 'attachment; filename="links.csv"'
        rows = csv.writer(response)
        rows.writerow(["name", "link"])
        rows.writerows([user.username, _link(request, user)] for user in users)
        return response

    @admin.action(
        description=gettext_lazy("Make links to set a password"), permissions=["change"]
    )
    def make_links(
        self, request: HttpRequest, queryset: QuerySet[User]
    ) -> HttpResponse | None:
        users = list(self._linkable(request, queryset)[: MOST + 1])
        if not users or len(users) > MOST:
            sentence = _(
                "Select 1 to %(number)s accounts that are active. Links for superusers are made by superusers."
            )
            self.message_user(request, sentence % {"number": MOST}, messages.ERROR)
            return None
        self._log(request, users, CHANGE, MADE_LINK)
        return self._sheet(request, users)

    def _linkable(self, request: HttpRequest, users: QuerySet[User]) -> QuerySet[User]:
        """Leave out those for whom a link is of no use, or gives its maker more rights than before."""
        allowed = users.filter(is_active=True).order_by("username")
        return (
            allowed if request.user.is_superuser else allowed.exclude(is_superuser=True)
        )

    def _log(
        self, request: HttpRequest, users: Iterable[User], flag: int, what: str
    ) -> None:
        LogEntry.objects.log_actions(str(request.user.pk), users, flag, what)

    def _sheet(self, request: HttpRequest, users: Iterable[User]) -> HttpResponse:
        slips = []
        for user in users:
            link = _link(request, user)
            slips.append(Slip(user.username, link, draw(link)))
        lasts = datetime.timedelta(seconds=settings.PASSWORD_RESET_TIMEOUT)
        context = {
            "title": _("Links to set a password"),
            "slips": slips,
            "users": [user.pk for user in users],
            "until": timezone.now() + lasts,
            "is_local": is_local(request),
        }
        return page(self, request, "links", context)
