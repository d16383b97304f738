"""Celery's command line with hanmill's application: `python -P -m workers.cli.celery_process worker …`.

The same as `celery -A workers.app …`, but nothing is imported from the current directory.
"""

from __future__ import annotations

import sys

from workers.app import app


def main() -> None:
    """Become the Celery process that the arguments describe."""
    sys.exit(app.start(sys.argv[1:]))


if __name__ == "__main__":
    main()
