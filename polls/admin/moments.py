"""The fields for a day and a time of day: pickers of the browser, and a day alone is enough."""

import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

END_OF_DAY = datetime.time(23, 59)


class DayInput(forms.DateInput):
    input_type = "date"


class TimeInput(forms.TimeInput):
    input_type = "time"


class MomentWidget(forms.MultiWidget):
    """A script offers the usual moments beside it, by the clock of the site's zone."""

    template_name = "admin/polls/question/moment.html"
    supports_microseconds = False
    # What the button is called that empties both.
    empty: object = _("At once")

    def __init__(self, attrs: dict[str, Any] | None = None) -> None:
        # The formats are those of HTML, whatever the language.
        boxes = [DayInput(format="%Y-%m-%d"), TimeInput(format="%H:%M")]
        super().__init__(boxes, attrs)

    def name(self, label: str) -> None:
        """Give each box a name of its own, for whoever does not see them side by side."""
        self.widgets[0].attrs["aria-label"] = _("%(field)s: day") % {"field": label}
        self.widgets[1].attrs["aria-label"] = _("%(field)s: time") % {"field": label}

    def id_for_label(self, id_: str) -> str:
        return f"{id_}_0"

    def decompress(self, value: datetime.datetime | None) -> list[Any]:
        if not value:
            return [None, None]
        shown = timezone.localtime(value)
        # To the minute, as it is shown: what only lacks its seconds has not been changed.
        return [shown.date(), shown.time().replace(second=0, microsecond=0)]

    def get_context(self, *args: Any) -> dict[str, Any]:
        offset = timezone.localtime().utcoffset() or datetime.timedelta()
        extra = {"empty": self.empty, "offset": int(offset.total_seconds() // 60)}
        return super().get_context(*args) | extra


class MomentField(forms.SplitDateTimeField):
    widget = MomentWidget
    default_error_messages = forms.SplitDateTimeField.default_error_messages | {
        "no_day": _("Choose a day as well.")
    }
    # Of a day that was chosen without a time.
    time_of_day = datetime.time()

    def compress(self, data_list: Any) -> datetime.datetime | None:
        if not data_list:
            return None
        day, time = data_list
        if not day:
            raise ValidationError(self.error_messages["no_day"], code="no_day")
        moment = super().compress((day, time or self.time_of_day))
        try:
            # The first and the last day that there is are not to be had in each zone.
            if moment:
                moment.astimezone(datetime.UTC)
        except OverflowError:
            invalid = self.error_messages["invalid_date"]
            raise ValidationError(invalid, code="invalid_date") from None
        return moment
