"""Every setting, with its default, unit and meaning; the reader of the environment (`database_place` apart)."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import unquote

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from storage.errors import UsageError
from storage.limits import DEFAULT_MAX_RECORD_BYTES, LARGEST_SHARD_BYTES
from tasks.operation import EndpointAccess

if TYPE_CHECKING:
    from storage.planning import PlanSizes

#: The password of an address: what stands between the first colon after `//` and the `@`.
_PASSWORD = re.compile(r"(?<=://)([^:/@]*):([^@/]+)@")
#: The same of a value that is an address and nothing else: a password may hold an `@` or a `/` that nobody encoded.
_WHOLE_PASSWORD = re.compile(r"^([^:/@\s]+:(?://)?[^:/@\s]*):(\S+)@")
#: The same where it is a parameter: `?password=…` of an address, `password=…` of libpq's own way to write one.
_PASSWORD_PARAMETER = re.compile(r"(?<=password=)[^&\s'\"]+", re.IGNORECASE)


#: What stands between two input roots.
_ROOT_END = re.compile(r":(?!//|\d+(?:[/:]|$))")


#: Characters; a shorter secret is masked in addresses alone: in any text it would mask ordinary words.
SHORTEST_LITERAL = 6

#: The least memory in which a process can count, in bytes.
LEAST_MEMORY_BYTES = 512 * 1024 * 1024


def _split_roots(value: object) -> object:
    # The colon of an address, and the one before its port, separate nothing.
    return tuple(part for part in _ROOT_END.split(value) if part) if isinstance(value, str) else value


def _check_memory(value: int) -> int:
    if 0 < value < LEAST_MEMORY_BYTES:
        # With less than it has already, every document would seem to ask for too much.
        message = f"a process needs at least {LEAST_MEMORY_BYTES:,} bytes, for the dictionary alone; or 0"
        raise ValueError(message)
    return value


class Settings(BaseSettings):
    """The settings in force. Set one by the environment: `HANMILL_LEASE_S=15`."""

    model_config = SettingsConfigDict(env_prefix="HANMILL_", frozen=True, extra="ignore")

    home: Path = Field(
        default=Path(".hanmill"), description="directory for the embedded database, caches and spooled input"
    )
    database_url: str = Field(default="", description="sqlite:///FILE or postgresql://…; empty: a SQLite file in home")
    secrets_dir: str = Field(
        default="",
        description="directory with a file a setting, such as hanmill_database_url; the environment comes first",
    )
    broker_url: str = Field(
        default="redis://127.0.0.1:6379/0", description="redis://, rediss://, redis+socket:// or amqp:// of the queue"
    )
    input_roots: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split_roots)] = Field(
        default=(), description="directories that inputs must lie in, separated by ':'; empty: anywhere"
    )
    shard_bytes: int = Field(
        default=LARGEST_SHARD_BYTES,
        gt=0,
        description="bytes; the largest shard where --shard-bytes names none; a small corpus gets smaller ones",
    )
    max_record_bytes: int = Field(
        default=DEFAULT_MAX_RECORD_BYTES, gt=0, description="bytes; longer records are dead letters"
    )
    max_message_bytes: int = Field(
        default=64 * 1024 * 1024, gt=0, description="bytes; a larger message of the queue is set aside unread"
    )
    lease_s: float = Field(
        default=60.0, gt=0, description="seconds; a worker that is silent for so long has lost its shard"
    )
    max_failures: int = Field(
        default=3, gt=0, description="tries of a shard before it is halved, or its document is dead"
    )
    max_losses: int = Field(default=5, gt=0, description="workers a shard may lose before it is halved")
    max_deferrals: int = Field(default=6, gt=0, description="tries while a source is away, with growing pauses")
    window: int = Field(default=256, gt=0, description="messages of a job that stand in the queue at a time")
    high_water_shards: int = Field(
        default=20_000, gt=0, description="unfinished shards of enqueued documents above which producers wait"
    )
    seal_after_s: float = Field(
        default=30.0, gt=0, description="seconds; a job of enqueued documents is open for so long"
    )
    merge_words: int = Field(
        default=150_000, gt=0, description="distinct words that a merge partition is made for; fewer need less memory"
    )
    batch_bytes: int = Field(
        default=4 * 1024 * 1024, gt=0, description="bytes of text that a model worker leases at once, in any shards"
    )
    batch_shards: int = Field(default=1000, gt=0, description="shards that a model worker leases at once")
    device: str = Field(
        default="auto", description="of model workers: auto, cpu, cuda:0, or several separated by commas"
    )
    endpoint_key: SecretStr = Field(
        default=SecretStr(""), description="API key of the server that `--backend openai` asks"
    )
    endpoint_concurrency: int = Field(default=8, gt=0, description="requests to that server at a time")
    endpoint_timeout_s: float = Field(default=60.0, gt=0, description="seconds that one request to it may take")
    reconcile_interval_s: float = Field(default=10.0, gt=0, description="seconds between two looks for lost shards")
    stall_limit_s: float = Field(
        default=600.0,
        gt=0,
        description="seconds without a finished batch of documents after which a shard fails; if that cannot interrupt "
        "it, its process is ended half as long after",
    )
    frozen_limit_s: float = Field(
        default=45.0,
        gt=0,
        description="seconds in which C code lets no Python run, after which its process is ended; less than a lease",
    )
    process_memory_bytes: Annotated[int, AfterValidator(_check_memory)] = Field(
        default=0,
        ge=0,
        description="bytes of data that a worker's process without a GPU may have; 0: four fifths of all memory",
    )
    soft_time_limit_s: float = Field(default=6 * 3600.0, gt=0, description="seconds; a shard that runs longer fails")
    hard_time_limit_s: float = Field(default=6.5 * 3600.0, gt=0, description="seconds; its process is ended")
    visibility_timeout_s: float = Field(
        default=300.0,
        gt=0,
        description="seconds until Redis delivers again what a dead worker had fetched; a living one renews it",
    )
    flower_users: SecretStr = Field(
        default=SecretStr(""), description="who may log in to Flower: NAME:PASSWORD, several separated by commas"
    )
    log_format: Literal["text", "json"] = Field(default="text", description="of the log lines on stderr")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="lowest level that is logged"
    )
    fault_plan: str = Field(
        default="",
        description="for tests only: a JSON file of faults that strike at named points; no deployment sets it",
    )
    worker_name: str = Field(
        default="", description="how log lines name this process; a worker gives its own name to its processes"
    )

    @property
    def sql_url(self) -> str:
        """The database's address, the embedded one when none is set."""
        return self.database_url or f"sqlite:///{self.home.absolute() / 'hanmill.db'}"

    @property
    def cache_dir(self) -> Path:
        """Where compiled dictionaries are kept."""
        return self.home.absolute() / "cache"

    @property
    def plan_sizes(self) -> PlanSizes:
        """Return how large the parts of a job may be."""
        from storage.planning import PlanSizes  # noqa: PLC0415 - most commands plan nothing, and start faster without

        return PlanSizes(self.shard_bytes, self.merge_words)

    @property
    def endpoint_access(self) -> EndpointAccess:
        """Return how a server is asked for the answers of a model."""
        return EndpointAccess(self.endpoint_key.get_secret_value(), self.endpoint_concurrency, self.endpoint_timeout_s)

    @property
    def readable_roots(self) -> tuple[str, ...]:
        """Return where a worker may read: the input roots and what came by standard input; empty: anywhere."""
        return (*self.input_roots, str(self.stdin_dir)) if self.input_roots else ()

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must stand in no log line: keys, and the passwords of addresses, encoded and decoded."""
        values = [getattr(self, name) for name in type(self).model_fields]
        hidden = [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
        # NAME:PASSWORD, several separated by commas.
        hidden += [user.partition(":")[2] for value in hidden for user in value.split(",")]
        for value in values:
            if isinstance(value, str):
                hidden += [found[2] for found in _PASSWORD.finditer(value)]
                hidden += [found[2] for found in _WHOLE_PASSWORD.finditer(value)]
                hidden += [found[0] for found in _PASSWORD_PARAMETER.finditer(value)]
        return tuple({secret for one in hidden for secret in (one, unquote(one)) if secret})

    @property
    def stdin_dir(self) -> Path:
        """Where what came by standard input is kept."""
        return self.home.absolute() / "stdin"


@lru_cache(maxsize=1)
def load_settings() -> Settings:
    """Read the environment once, and set in it what libraries read when they are imported.

    Raises `UsageError` that names all faults together, each with key and value, passwords masked.
    """
    # Neither transformers nor PyTorch is imported before a process has its settings. Nothing is fetched from a hub; and
    # PyTorch's threads sleep while they wait for each other, and NumPy has none of its own: beside counting on the same
    # cores, spinning threads made summaries several times slower.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        return _read()
    except ValidationError as error:
        faults = [
            f"HANMILL_{str(fault['loc'][0]).upper()}={mask(str(fault['input']))}: {fault['msg']}"
            for fault in error.errors()
        ]
        message = "settings are wrong:\n  " + "\n  ".join(faults)
        raise UsageError(message) from error


def source_of(settings: Settings, name: str) -> str:
    """Return where a setting comes from: environment, secrets (a file of `secrets_dir`) or default."""
    if name not in settings.model_fields_set:
        return "default"
    return "environment" if f"HANMILL_{name.upper()}" in os.environ else "secrets"


def _read() -> Settings:
    directory = os.environ.get("HANMILL_SECRETS_DIR")
    if not directory:
        return Settings()
    if not Path(directory).is_dir() or not os.access(directory, os.R_OK | os.X_OK):
        message = f"HANMILL_SECRETS_DIR={directory}: no directory that can be read"
        raise UsageError(message)
    place: dict[str, Any] = {"_secrets_dir": directory}
    return Settings(**place)


def hide_secrets(text: str) -> str:
    """Return a text fit to be shown: without the secrets of the settings, wherever and however they stand in it."""
    try:
        secrets = load_settings().secrets
    except UsageError:
        secrets = ()
    text = mask(text)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST_LITERAL:
            text = text.replace(secret, "***")
    return text


def mask(value: str) -> str:
    """Return a value fit to be shown: the password of an address becomes asterisks."""
    if found := _WHOLE_PASSWORD.match(value):
        value = f"{found[1]}:***@{value[found.end() :]}"
    return _PASSWORD_PARAMETER.sub("***", _PASSWORD.sub(r"\1:***@", value))
