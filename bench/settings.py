"""The site's own settings, and one more page: the benchmark's slow one."""

from polls.settings import *  # noqa: F403

ROOT_URLCONF = "bench.slow"
