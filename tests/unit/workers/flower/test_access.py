"""Who may look into Flower: named users, or on this machine alone one whose password is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from storage.errors import UsageError
from workers.flower.access import DEFAULT_USER, flower_directory, is_loopback, kept_secret, password_file, users
from workers.settings import Settings


def settings(home: Path, named: str = "") -> Settings:
    return Settings(home=home, flower_users=SecretStr(named))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True), ("127.8.8.8", True), ("::1", True), ("localhost", True),
        ("", False), ("0.0.0.0", False), ("::", False), ("10.0.0.7", False), ("flower.example", False),  # noqa: S104
    ],
)  # fmt: skip
def test_only_this_machine_is_this_machine(address: str, expected: bool) -> None:
    assert is_loopback(address) is expected


def test_named_users_may_come_from_anywhere(home: Path) -> None:
    made = settings(home, "ops:a:b, night:watch-it")
    assert users(made, "0.0.0.0") == ["ops:a:b", "night:watch-it"]  # noqa: S104 - refused without users
    assert not (home / "flower").exists()


def test_without_users_it_stays_on_this_machine_and_makes_a_password_once(home: Path) -> None:
    made = settings(home)
    for address in ("0.0.0.0", "", "flower.example"):  # noqa: S104 - refused
        with pytest.raises(UsageError, match="HANMILL_FLOWER_USERS=NAME:PASSWORD"):
            users(made, address)
    (first,) = users(made, "127.0.0.1")
    name, _, password = first.partition(":")
    assert name == DEFAULT_USER
    assert len(password) >= 32
    assert users(made, "::1") == [first]
    assert password_file(made).read_text(encoding="ascii") == password


@pytest.mark.parametrize("named", ["ops", "ops:", ":secret", "ops:密码", "ops:a,", "ops:a,night"])
def test_a_user_without_a_name_or_a_password_is_refused_and_not_repeated(home: Path, named: str) -> None:
    with pytest.raises(UsageError, match=r"entry [12] is not NAME:PASSWORD") as raised:
        users(settings(home, named), "127.0.0.1")
    assert "密码" not in str(raised.value)


def test_what_is_kept_is_for_its_owner_alone(home: Path) -> None:
    (home / "flower").mkdir(mode=0o755)
    path = flower_directory(settings(home)) / "cookie_secret"
    secret = kept_secret(path)
    path.chmod(0o644)
    assert kept_secret(path) == secret
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"", b"\n", "密".encode()])
def test_a_secret_that_is_none_is_refused_with_the_remedy(home: Path, content: bytes) -> None:
    path = home / "cookie_secret"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="remove it"):
        kept_secret(path)
