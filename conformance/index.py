# SPDX-License-Identifier: MIT
"""The package index, as pip is set up to use it: listings by PEP 691, files by range requests.

No index address is written here. It comes from `MORIEP_INDEX_URL`, else from the variables and files that configure uv and
pip, else from pip's own default.
"""

from __future__ import annotations

import configparser
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import stamina

from conformance.errors import IndexUnavailableError, WheelError
from conformance.transport import Transport, TransportError, TransportTimeoutError
from conformance.wheels import Wheel, wheel_from_filename

__all__ = ["IndexFile", "Meter", "PackageIndex", "configured_index_url", "open_index"]

_LISTING = "application/vnd.pypi.simple.v1+json"
_RETRIED_STATUS = frozenset({429, 500, 502, 503, 504})
_CONNECTIONS = 24


@dataclass
class Meter:
    """What was asked of the index, to be shown and to be benchmarked."""

    requests: int = 0
    bytes_read: int = 0


@dataclass(frozen=True)
class IndexFile:
    """One wheel and where the index says it lies."""

    wheel: Wheel
    url: str
    yanked: bool


class _RetriedStatusError(TransportError):
    """A status that may go away by itself."""


def configured_index_url(environment: Mapping[str, str] = os.environ) -> str:
    """The address of the simple index.

    Raises:
        IndexUnavailableError: nothing is configured, and pip is not there to be asked.
    """
    for name in ("MORIEP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"):
        if environment.get(name):
            return environment[name].rstrip("/")
    for file in _pip_configuration_files(environment):
        parser = configparser.RawConfigParser()
        try:
            parser.read(file, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError) as error:
            raise IndexUnavailableError(f"{file}: pip's configuration cannot be read: {error}") from error
        for section in ("install", "global"):
            if parser.has_option(section, "index-url"):
                return parser.get(section, "index-url").rstrip("/")
    try:
        from pip._internal.models.index import PyPI
    except ImportError as error:
        raise IndexUnavailableError(
            "no package index is configured and pip is not installed here: set MORIEP_INDEX_URL to the address of a "
            "simple index"
        ) from error
    return str(PyPI.simple_url).rstrip("/")


def _pip_configuration_files(environment: Mapping[str, str]) -> list[Path]:
    """Where pip reads its configuration, the strongest first (pip's documentation, "Configuration")."""
    named = environment.get("PIP_CONFIG_FILE")
    home = Path(environment.get("HOME", "~")).expanduser()
    personal = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    shared = (environment.get("XDG_CONFIG_DIRS") or str(Path(os.sep) / "etc" / "xdg")).split(os.pathsep)
    places = [Path(named)] if named else []
    places += [Path(sys.prefix) / "pip.conf", personal / "pip" / "pip.conf", home / ".pip" / "pip.conf"]
    places += [Path(os.sep) / "etc" / "pip.conf", *(Path(folder) / "pip" / "pip.conf" for folder in shared)]
    return [place for place in places if place.is_file()]


@asynccontextmanager
async def open_index(
    url: str | None = None, *, timeout: float = 20.0, attempts: int = 4, connections: int = _CONNECTIONS
) -> AsyncIterator[PackageIndex]:
    """A connected `PackageIndex`; the connections close with the block.

    Args:
        url: address of the simple index; None for the configured one.
        timeout: seconds without an answer before a request counts as failed.
        attempts: how often a request is tried when the failure may be passing.
        connections: requests under way at once.
    """
    async with Transport(timeout=timeout, connections=connections) as transport:
        yield PackageIndex(transport, (url or configured_index_url()).rstrip("/"), attempts, timeout)


@dataclass
class PackageIndex:
    """Listings and byte ranges, retried, counted, with errors that say what to do."""

    transport: Transport
    url: str
    attempts: int
    timeout: float
    meter: Meter = field(default_factory=Meter)

    async def listing(self, distribution: str) -> list[IndexFile]:
        """All wheels of one distribution, oldest first.

        Raises:
            IndexUnavailableError: no answer, not found, or an answer that is no index page.
        """
        url = f"{self.url}/{distribution}/"
        status, body = await self._get(url, {"Accept": _LISTING})
        if status != 200:
            raise IndexUnavailableError(
                f"{distribution}: the package index answered HTTP {status} for {url}; check the index "
                "address (MORIEP_INDEX_URL, PIP_INDEX_URL or pip's configuration)"
            )
        try:
            files = json.loads(body)["files"]
            found = [_index_file(item) for item in files if str(item["filename"]).endswith(".whl")]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IndexUnavailableError(
                f"{distribution}: the answer of {url} is not a PEP 691 index page ({type(error).__name__}: {error}); "
                "the index must offer the JSON form of the simple API"
            ) from error
        return sorted(found, key=lambda item: item.wheel.order)

    async def read(self, url: str, start: int, stop: int, what: str) -> tuple[bytes, bool]:
        """Bytes start … stop−1 of a file, and True; or the whole file, and False, where ranges are refused.

        Raises:
            WheelError: the file is not there, or the index does not answer. `what` names the wheel in the message.
        """
        try:
            status, body = await self._get(url, {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"})
        except IndexUnavailableError as error:
            raise WheelError(f"{what}: {error}") from error
        if status == 206:
            if len(body) != stop - start:
                raise WheelError(
                    f"{what}: asked for {stop - start} bytes at {start}, got {len(body)}: the file on the index is "
                    "shorter than listed (truncated), or a proxy cut the answer"
                )
            return body, True
        if status == 200:
            return body, False
        raise WheelError(f"{what}: the index answered HTTP {status} for {url}")

    async def _get(self, url: str, headers: dict[str, str]) -> tuple[int, bytes]:
        try:
            try:
                return await self._ask(url, headers)
            except TransportError:
                if self.attempts <= 1:
                    raise
            # Only now: setting up a retry costs more than a request that works.
            async for attempt in stamina.retry_context(
                on=TransportError, attempts=self.attempts - 1, wait_initial=0.2, wait_max=2.0
            ):
                with attempt:
                    return await self._ask(url, headers)
        except TransportTimeoutError as error:
            raise IndexUnavailableError(
                f"no answer from {url} within {self.timeout:g} s, {self.attempts} times; the network or the index is "
                "down (cached surveys work offline)"
            ) from error
        except TransportError as error:
            raise IndexUnavailableError(
                f"{url} cannot be read after {self.attempts} attempts: {error}; check network, "
                "proxy and index address (cached surveys work offline)"
            ) from error
        raise AssertionError("the retry loop either returns or raises")

    async def _ask(self, url: str, headers: dict[str, str]) -> tuple[int, bytes]:
        self.meter.requests += 1
        status, body = await self.transport.get(url, headers)
        self.meter.bytes_read += len(body)
        if status in _RETRIED_STATUS:
            raise _RetriedStatusError(f"HTTP {status}")
        return status, body


def _index_file(item: Mapping[str, Any]) -> IndexFile:
    wheel = wheel_from_filename(
        str(item["filename"]), str(item["hashes"]["sha256"]), int(item["size"]), str(item["upload-time"])
    )
    return IndexFile(wheel, str(item["url"]), bool(item.get("yanked", False)))
