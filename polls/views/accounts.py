"""Whoever has an account sets its password: with a link from an organiser, or signed in."""

import math
from typing import Any

from django.contrib.auth.decorators import login_required
from django.contrib.auth.forms import PasswordChangeForm
from django.contrib.auth.views import PasswordChangeView, PasswordResetConfirmView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache

from ..serving.errors import error_page
from ..serving.throttle import Limit, wrong_tries

# Who finds a browser signed in is not to find out the password.
OLD_PASSWORD = Limit("old password", free=10, first=2, longest=60, forgotten=900)


class SetPassword(PasswordResetConfirmView):
    """Let the holder of a link choose a password, once, and sign in."""

    template_name = "polls/password.html"
    title = _("Choose your password")
    post_reset_login = True
    success_url = reverse_lazy("password_done")

    def render_to_response(
        self, context: dict[str, Any], **kwargs: Any
    ) -> HttpResponse:
        if context["validlink"]:
            return super().render_to_response(context, **kwargs)
        sentence = _(
            "This link has been used, is too old, or is not complete. Ask the organisers for another."
        )
        return error_page(self.request, 404, str(sentence))


@method_decorator(never_cache, name="dispatch")
class ChangePassword(PasswordChangeView):
    template_name = "polls/password.html"
    title = _("Change your password")
    success_url = reverse_lazy("password_done")

    def post(self, request: HttpRequest, *args: str, **kwargs: Any) -> HttpResponse:
        seconds = wrong_tries.seconds_to_wait(OLD_PASSWORD, str(request.user.pk))
        if not seconds:
            return super().post(request, *args, **kwargs)
        number = math.ceil(seconds)
        sentence = ngettext(
            "Too many wrong passwords were tried for this account. Wait %(number)s second, then try again.",
            "Too many wrong passwords were tried for this account. Wait %(number)s seconds, then try again.",
            number,
        )
        response = error_page(request, 429, sentence % {"number": number})
        response["Retry-After"] = str(number)
        return response

    def form_invalid(self, form: PasswordChangeForm) -> HttpResponse:
        # The page begins with what is wrong.
        form.fields["old_password"].widget.attrs.pop("autofocus", None)
        if "old_password" in form.errors and form.data.get("old_password"):
            wrong_tries.count(OLD_PASSWORD, str(self.request.user.pk))
        return super().form_invalid(form)


@never_cache
@login_required
def password_done(request: HttpRequest) -> HttpResponse:
    return render(request, "polls/password_done.html")
