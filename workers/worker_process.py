"""Runs a Celery worker of this installation: `python -P -m workers.worker_process worker …`.

`celery -A workers.app worker …` does the same from a directory of your choice, but looks into that directory first: a
folder named `workers` there would be taken for ours.
"""

import sys

from workers.app import app

if __name__ == "__main__":
    app.start(sys.argv[1:])
