"""How PostgreSQL forgets: the note that something is still to be overwritten is a comment on a table."""

import time

from django.db import OperationalError
from django.db.backends.utils import CursorWrapper

NOTE = "What manage.py purge deleted is still in the files."

# Tenths of a second to wait for those who still read what was deleted.
PATIENCE = 300

# The tables of which purge deletes or updates rows.
TABLES = [
    "polls_question",
    "polls_choice",
    "polls_ballot",
    "polls_mark",
    "polls_ranking",
    "polls_invitation",
    "auth_user",
    "django_session",
]

# Whether this is the oldest transaction of all.
IS_OLDEST = """
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8 AND NOT EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND age(backend_xmin) > age(%s::xid8::xid)
)
"""

# Statements that drop the planner's samples of columns which a migration keeps out of them. ANALYZE does not: it leaves
# the samples from before that migration. A change of type does, also to the same type.
DROP_SAMPLES = """
SELECT 'ALTER TABLE ' || relname || ' ALTER ' || attname || ' TYPE ' || format_type(atttypid, atttypmod)
FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid JOIN pg_stats USING (attname)
WHERE tablename = relname AND schemaname = current_schema() AND relnamespace = schemaname::regnamespace
AND relname = ANY(%s) AND attstattarget BETWEEN 0 AND 1
"""


def note(cursor: CursorWrapper, is_due: bool) -> None:
    text = f"'{NOTE}'" if is_due else "NULL"
    cursor.execute(f"COMMENT ON TABLE polls_question IS {text}")


def is_due(cursor: CursorWrapper) -> bool:
    cursor.execute("SELECT obj_description('polls_question'::regclass, 'pg_class')")
    return bool(cursor.fetchone()[0] == NOTE)


def overwrite(cursor: CursorWrapper) -> None:
    _wait_for_readers(cursor)
    # While this waits for a table's lock, all others wait behind it.
    cursor.execute("SET lock_timeout = '10s'")
    cursor.execute(DROP_SAMPLES, [TABLES])
    for (statement,) in cursor.fetchall():
        cursor.execute(statement)
    for table in TABLES:
        # CLUSTER is a VACUUM FULL that sorts: by id, so that no row's place tells when it was changed. A plain VACUUM would
        # leave the bytes in their pages.
        cursor.execute(f"CLUSTER {table} USING {table}_pkey")
        cursor.execute(f"ANALYZE {table}")
    # The dropped samples too, which those still see who came since. A role that does not own the database is warned, and
    # goes on.
    _wait_for_readers(cursor)
    cursor.execute("VACUUM FULL pg_statistic")
    cursor.execute("RESET lock_timeout")


def _wait_for_readers(cursor: CursorWrapper) -> None:
    """Wait for transactions that can still see what was deleted: VACUUM leaves it for them."""
    cursor.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
    next_transaction = cursor.fetchone()[0]
    for _ in range(PATIENCE):
        cursor.execute(IS_OLDEST, [next_transaction] * 2)
        if cursor.fetchone()[0]:
            return
        time.sleep(0.1)
    raise OperationalError("a long transaction, such as a backup, still sees it")
