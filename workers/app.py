"""The Celery application: `celery -A workers.app worker …` works as well as `hanmill worker`."""

from workers.celery_app import build_app
from workers.settings import load_settings

app = build_app(load_settings())
