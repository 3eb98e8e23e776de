"""For a site under libfaketime, whose clock_nanosleep refuses to sleep until a moment of the clock that it leaves alone."""

import select
import time


def sleep(seconds: float) -> None:
    select.select([], [], [], seconds)


time.sleep = sleep
