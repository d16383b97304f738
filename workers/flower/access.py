"""Who may look into Flower, and from where: users with passwords, and the secrets that it keeps in its home.

Starts nothing. Flower is never open: where no user is set it listens on this machine alone, for one user whose password
it makes.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from pathlib import Path

from storage.errors import UsageError
from workers.bootstrap import make_home
from workers.settings import Settings

#: Whom the password belongs to that is made where none is set.
DEFAULT_USER = "hanmill"
#: Random bytes of a password or a secret that is made.
SECRET_BYTES = 24


def flower_directory(settings: Settings) -> Path:
    """Return the directory of what Flower keeps, for its owner alone; raises `UsageError` when it cannot be made."""
    home = settings.home.absolute()
    make_home(home)
    directory = home / "flower"
    directory.mkdir(exist_ok=True, mode=0o700)
    # What was seen, and secrets: no matter how the directory came to be there.
    directory.chmod(0o700)
    return directory


def password_file(settings: Settings) -> Path:
    """Return where the password stands that is made where none is set."""
    return flower_directory(settings) / "password"


def users(settings: Settings, address: str) -> list[str]:
    """Return every `name:password` that may log in.

    Raises `UsageError` when none is set and the address can be reached from other machines.
    """
    named = settings.flower_users.get_secret_value()
    if named:
        return _parsed(named)
    if not is_loopback(address):
        message = (
            f"Flower would listen on {address or 'every address'}, and nobody has a password: set "
            "HANMILL_FLOWER_USERS=NAME:PASSWORD, or leave it on 127.0.0.1"
        )
        raise UsageError(message)
    return [f"{DEFAULT_USER}:{kept_secret(password_file(settings))}"]


def is_loopback(address: str) -> bool:
    """Say whether an address to listen on can be reached from this machine alone."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        # Empty is every address; a name may become any.
        return False


def _parsed(named: str) -> list[str]:
    pairs = [pair.strip() for pair in named.split(",")]
    for number, pair in enumerate(pairs, 1):
        name, _, password = pair.partition(":")
        # Flower compares bytes of ASCII; anything else would be an error on every request.
        if not name or not password or not pair.isascii():
            message = f"HANMILL_FLOWER_USERS: entry {number} is not NAME:PASSWORD in ASCII; separate several by commas"
            raise UsageError(message)
    return pairs


def kept_secret(path: Path) -> str:
    """Return the secret that a file keeps, made at the first call; nobody but its owner can read it.

    Raises `UsageError` when the file cannot be read or written.
    """
    try:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            path.chmod(0o600)
        else:
            with os.fdopen(handle, "w", encoding="ascii") as stream:
                stream.write(secrets.token_urlsafe(SECRET_BYTES))
        secret = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        message = f"{path} cannot be read or written ({error}); remove it, and another is made"
        raise UsageError(message) from error
    if not secret:
        message = f"{path} is empty: remove it, and another is made"
        raise UsageError(message)
    return secret
