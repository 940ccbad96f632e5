# SPDX-License-Identifier: MIT
"""Files that are made once, by whichever process comes first, and never seen half written."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

__all__ = ["cache_directory", "content_key", "locked", "make_once", "write_whole"]


def cache_directory() -> Path:
    """Where compiled code is kept: below ``VIRTUAL_ROCM_CACHE``, else below the user's cache directory."""
    named = os.environ.get("VIRTUAL_ROCM_CACHE")
    base = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "virtual_rocm"
    return base.absolute() / "compiled"


def content_key(*parts: bytes | str) -> str:
    """A name for contents: equal parts give equal names, however they are divided."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()[:32]


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock that other processes wait for. The system releases it when the process dies, in whatever way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file so that a reader sees all of it or nothing of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name[:40]}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def make_once(path: Path, make: Callable[[], bytes]) -> Path:
    """The file, made if it is not there. Of several processes that want it at once, one makes it and the others wait."""
    if path.is_file():
        return path
    with locked(path.with_name(path.name + ".lock")):
        if not path.is_file():
            write_whole(path, make())
    return path
