"""Celery's configuration, made from the settings, each choice with its reason. Defines no task.

The facts behind the reasons (what kombu does on Redis, and when) were measured with celery 5.7 and kombu 5.7.
"""

from __future__ import annotations

import socket
from typing import Any

from celery import Celery
from kombu import Exchange, Queue

from storage.redis_keys import QUEUE_CONTROL, QUEUE_CPU, QUEUE_GPU
from workers.reconcile_timer import ReconcileOnConnection, ReconcileTimer
from workers.settings import Settings
from workers.task_names import RECONCILE

#: Messages go by the broker's nameless exchange, which needs no binding: after a flush of Redis the bindings are
#: gone, and what is published to a named exchange vanishes.
_NAMELESS = Exchange("")


def build_app(settings: Settings) -> Celery:
    """Return the application for these settings; connects to nothing."""
    app = Celery(
        "hanmill",
        include=["workers.celery_tasks"],
        events="workers.patient_events:PatientEvents",
        amqp="workers.guarded_connection:GuardedAMQP",
    )
    app.conf.update(_configuration(settings))
    app.steps["worker"].add(ReconcileTimer)
    # By name: a producer, which has the application too, needs none of a worker's modules.
    app.steps["worker"].add("workers.probe_steps:AliveStep")
    app.steps["worker"].add("workers.message_renewal:RenewalStep")
    app.steps["worker"].add("workers.pool_step:PoolStep")
    app.steps["consumer"].add(ReconcileOnConnection)
    app.steps["consumer"].add("workers.probe_steps:ReadyStep")
    app.steps["consumer"].add("workers.presence_step:PresenceStep")
    app.steps["consumer"].add("workers.lease_return:LeaseReturn")
    return app


def _configuration(settings: Settings) -> dict[str, Any]:
    return {
        "broker_url": settings.broker_url,
        "broker_connection_retry_on_startup": True,
        # For ever: the default gives up after 100 tries and leaves a worker that consumes nothing.
        "broker_connection_max_retries": None,
        # What the broker refuses (a Redis that is out of memory takes no acknowledgement) ends the connection, not the
        # whole worker, which is what Celery does by default.
        "broker_channel_error_retry": True,
        "broker_transport_options": _transport_options(settings),
        "task_queues": [Queue(name, _NAMELESS, routing_key=name) for name in (QUEUE_CPU, QUEUE_GPU, QUEUE_CONTROL)],
        "task_default_queue": QUEUE_CONTROL,
        "task_default_exchange": "",
        "task_default_routing_key": QUEUE_CONTROL,
        "task_create_missing_queues": False,
        # JSON only, in both directions: a message can never run code.
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        # Results stand in SQL; a result backend would only grow.
        "task_ignore_result": True,
        "result_backend": None,
        # After the work: a message whose worker dies comes back, and the ledger says whether it still matters.
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": settings.broker_url.startswith(("redis", "rediss")),
        "task_soft_time_limit": settings.soft_time_limit_s,
        "task_time_limit": settings.hard_time_limit_s,
        "task_track_started": True,
        "worker_send_task_events": True,
        "task_send_sent_event": False,
        # Importing PyTorch in a spawned process takes longer than the 4 s after which the pool would kill it.
        "worker_proc_alive_timeout": 120.0,
        # How long the result of a process that has ended may still be under way. Ten seconds by default, in which its
        # shard waits; a result that comes later than this is a row in SQL all the same.
        "worker_lost_wait": 1.0,
        "worker_consumer": "workers.careful_consumer:CarefulConsumer",
        "beat_scheduler": "workers.probe_beat:WatchedScheduler",
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
        # Any number of beats may run; each worker asks for the same by a timer of its own.
        "beat_schedule": {
            "reconcile": {
                "task": RECONCILE,
                "schedule": settings.reconcile_interval_s,
                "options": {"queue": QUEUE_CONTROL, "expires": settings.reconcile_interval_s},
            }
        },
        "beat_schedule_filename": str(settings.home.absolute() / "celerybeat"),
        "enable_utc": True,
    }


def _transport_options(settings: Settings) -> dict[str, Any]:
    if not settings.broker_url.startswith(("redis", "rediss")):
        # RabbitMQ: a producer learns that a message was not taken.
        return {"confirm_publish": True}
    return {
        "visibility_timeout": settings.visibility_timeout_s,
        # By default a lost message is looked for every 100 s only, whatever the visibility timeout.
        "unacked_restore_interval": min(10.0, settings.visibility_timeout_s),
        "unacked_restore_throttle": 1,
        # A connection whose other end is gone without a word (a cable, a firewall, a dead host) is given up soon: the
        # kernel asks after 10 s of silence, and the main loop, with all its timers, never stands for longer than this.
        "socket_keepalive": True,
        "socket_keepalive_options": _keepalive_options(),
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "health_check_interval": 15,
    }


def _keepalive_options() -> dict[int, int]:
    """Return when the kernel gives a silent connection up: after 25 s; what a system does not know is left out."""
    seconds = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3}
    options = {**seconds, "TCP_USER_TIMEOUT": 25_000}
    return {getattr(socket, name): value for name, value in options.items() if hasattr(socket, name)}
