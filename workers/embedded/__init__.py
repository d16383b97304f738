"""The processes of `hanmill run`: its own Redis, its own workers, and what keeps them from being left behind.

Knows processes, files and sockets only; jobs, leases and Celery's options are the caller's.
"""

from workers.embedded.crew import Crew
from workers.embedded.home_lock import HomeLock
from workers.embedded.redis_server import EmbeddedRedis
from workers.embedded.run_file import RunFile

__all__ = ["Crew", "EmbeddedRedis", "HomeLock", "RunFile"]
