"""Clients in a file that its owner alone reads: names, scopes, and secrets as scrypt leaves them."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from eotasks.documents import first_problem, parse_json_object, refuse_many_values
from eotasks.durable import atomic_path, make_folder
from eotasks.errors import ConfigurationError
from eotasks.limits import RECORD_BYTES
from eotasks.reading import read_regular
from eotasks.service.auth.access import SCOPES, Scope
from eotasks.text import refuse_name

COST = 2**14
"""Of scrypt: 16 MB and some hundredths of a second for each look at a secret."""
_BLOCK, _PARALLEL = 8, 1
_HIDDEN_FROM_OTHERS = 0o077
_LEAST_KEY, _LONGEST_KEY = 32, 4096
"""Characters of the key for tokens."""
_MOST_SECRET = 200
"""Characters of an id or a secret that are looked at."""


def _in_base_64(text: str) -> str:
    base64.b64decode(text, validate=True)  # an error of binascii is one of values
    return text


def _power_of_two(number: int) -> int:
    if number & (number - 1):
        raise ValueError("no power of two")
    return number


class Client(BaseModel):
    """A client, as the file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="For whoever keeps the file.")
    salt: Annotated[str, AfterValidator(_in_base_64)] = Field(description="16 random bytes in base 64.")
    hash: Annotated[str, AfterValidator(_in_base_64)] = Field(description="scrypt of the secret in base 64.")
    cost: Annotated[int, AfterValidator(_power_of_two)] = Field(COST, ge=2, le=2**20, description="N of scrypt.")
    scopes: tuple[Scope, ...] = Field(SCOPES, description="What the client may do.")

    def is_secret(self, secret: str) -> bool:
        """Whether a secret is that of the client, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(base64.b64decode(self.hash), _hash(secret, base64.b64decode(self.salt), self.cost))


class ClientsFile(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    clients: dict[str, Client] = Field({}, description="By id.")


class Clients:
    """The clients of a file, which is read again when it has changed. May be used by several threads."""

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._state: tuple[int, ...] = ()
        self._clients: dict[str, Client] = {}
        self._nobody = _new_client("nobody", secrets.token_urlsafe(), ())

    def get(self, client_id: str) -> Client | None:
        """A client; None for one that is not in the file (any more).

        :raises ConfigurationError: when the file is damaged.
        """
        with self._lock:
            state = _state_of(self._path)
            if state != self._state:
                self._clients, self._state = dict(read_clients(self._path).clients), state
            return self._clients.get(client_id)

    def known(self, client_id: str, secret: str) -> Client | None:
        """The client of an id and a secret. One that there is not takes as long as a wrong secret."""
        client = self.get(client_id)
        right = (client or self._nobody).is_secret(secret[:_MOST_SECRET])
        return client if right and len(secret) <= _MOST_SECRET else None


def read_clients(path: Path) -> ClientsFile:
    """The content of a file; no clients where there is none.

    :raises ConfigurationError: when it is damaged.
    """

    def refuse(reason: str) -> ConfigurationError:
        return ConfigurationError(f"{path} is no file of clients: {reason}. Move it away and make clients anew")

    if not path.exists():
        return ClientsFile()
    try:
        document = parse_json_object(read_regular(path, RECORD_BYTES), refuse)
        refuse_many_values(document, refuse)
    except OSError as error:
        raise refuse(error.strerror or str(error)) from error
    try:
        return ClientsFile.model_validate(document)
    except ValidationError as error:
        raise refuse(first_problem(error, "file")) from None


def add_client(path: Path, name: str, scopes: Sequence[Scope] = SCOPES) -> tuple[str, str]:
    """Make a client.

    :param path: The file; it is made when it is not there, for its owner alone.
    :param name: For whoever keeps the file.
    :return: Id and secret. The secret is not kept anywhere.
    :raises ConfigurationError: when there is one of this name, or the file is damaged.
    """
    problem = refuse_name(name, longest=100)
    if problem is not None:
        raise ConfigurationError(f"The name of the client {name!r}: {problem}.")
    make_folder(path.parent)
    with _alone(path):
        content = read_clients(path)
        if any(client.name == name for client in content.clients.values()):
            raise ConfigurationError(f"{path} has a client {name!r} already: give another name, or remove that one.")
        client_id, secret = secrets.token_hex(16), secrets.token_urlsafe(32)
        clients = {**content.clients, client_id: _new_client(name, secret, tuple(scopes))}
        _write_hidden(path, ClientsFile(clients=clients).model_dump_json(indent=1) + "\n")
    return client_id, secret


def signing_key(path: Path) -> str:
    """The key of a file, which is made when it is not there, for its owner alone.

    :raises ConfigurationError: when it is no key, or cannot be read.
    """
    make_folder(path.parent)
    with _alone(path):
        if not path.exists():
            _write_hidden(path, secrets.token_hex(32) + "\n")  # whole at once: others may read it at any moment
    try:
        key = read_regular(path, RECORD_BYTES).decode("ascii").strip()
    except OSError as error:
        raise ConfigurationError(f"The key for tokens {path}: {error.strerror or error}. Give another file.") from error
    except UnicodeDecodeError:
        key = ""
    if not _LEAST_KEY <= len(key) <= _LONGEST_KEY or not key.isprintable():
        raise ConfigurationError(f"{path} holds no key for tokens: remove it, a new one is made at the next start.")
    return key


def _new_client(name: str, secret: str, scopes: tuple[Scope, ...]) -> Client:
    salt = secrets.token_bytes(16)
    return Client(
        name=name,
        salt=base64.b64encode(salt).decode(),
        hash=base64.b64encode(_hash(secret, salt, COST)).decode(),
        cost=COST,
        scopes=scopes,
    )


def _hash(secret: str, salt: bytes, cost: int) -> bytes:
    memory = 130 * cost * _BLOCK * _PARALLEL
    return hashlib.scrypt(
        secret.encode(errors="replace"), salt=salt, n=cost, r=_BLOCK, p=_PARALLEL, maxmem=memory + 2**20, dklen=32
    )


def _write_hidden(path: Path, text: str) -> None:
    """Write a file for its owner alone."""
    with atomic_path(path, without=_HIDDEN_FROM_OTHERS) as temporary:
        temporary.touch(0o600)
        temporary.write_text(text)


def _state_of(path: Path) -> tuple[int, ...]:
    try:
        facts = path.stat()
    except FileNotFoundError:
        return (0,)
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Holds off others that write in the same folder."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
