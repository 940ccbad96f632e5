# SPDX-License-Identifier: MIT
"""HTTP for many small requests at once: libcurl under asyncio.

A survey asks for six hundred small ranges. libcurl sends them as streams of a few HTTP/2 connections, for a tenth of the
processor time of clients written in Python, and within a few round trips instead of one for each request and connection.
"""

from __future__ import annotations

import asyncio
import io
import math
import os
import ssl
from collections.abc import Mapping
from types import TracebackType

import pycurl

__all__ = ["Transport", "TransportError", "TransportTimeoutError"]

_REASONS = {
    pycurl.E_COULDNT_RESOLVE_HOST: "the host name cannot be resolved",
    pycurl.E_COULDNT_CONNECT: "nothing answers there",
    pycurl.E_PARTIAL_FILE: "the answer was cut off",
    pycurl.E_GOT_NOTHING: "the connection was closed without an answer",
}


class TransportError(Exception):
    """No answer, for a reason that may go away by itself."""


class TransportTimeoutError(TransportError):
    """No byte came for as long as the transport waits."""


class Transport:
    """Requests on the running event loop. Use as an asynchronous context manager; the connections close with the block.

    Args:
        timeout: seconds without a byte after which a request fails; libcurl counts whole ones.
        connections: connections to one host; HTTP/2 sends many requests over each.
    """

    def __init__(self, *, timeout: float, connections: int) -> None:
        self._timeout = max(1, math.ceil(timeout))
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_PIPELINING, pycurl.PIPE_MULTIPLEX)
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, connections)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._watch)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._schedule)
        self._pending: dict[pycurl.Curl, tuple[asyncio.Future[tuple[int, bytes]], io.BytesIO]] = {}
        self._watched: dict[int, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._certificates = _certificates()

    async def __aenter__(self) -> Transport:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for handle, (future, _) in list(self._pending.items()):
            self._multi.remove_handle(handle)
            future.cancel()
        self._pending.clear()
        if self._timer is not None:
            self._timer.cancel()
        for descriptor in list(self._watched):
            self._unwatch(descriptor)
        self._multi.close()

    async def get(self, url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body.

        Raises:
            TransportError: no whole answer.
        """
        handle, body = pycurl.Curl(), io.BytesIO()
        handle.setopt(pycurl.URL, url)
        handle.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in headers.items()])
        handle.setopt(pycurl.WRITEDATA, body)
        handle.setopt(pycurl.NOSIGNAL, 1)
        handle.setopt(pycurl.FOLLOWLOCATION, 1)
        handle.setopt(pycurl.MAXREDIRS, 5)
        handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_2TLS)
        handle.setopt(pycurl.PIPEWAIT, 1)
        handle.setopt(pycurl.CONNECTTIMEOUT, self._timeout)
        handle.setopt(pycurl.LOW_SPEED_LIMIT, 1)
        handle.setopt(pycurl.LOW_SPEED_TIME, self._timeout)
        for option, value in self._certificates.items():
            handle.setopt(option, value)
        future: asyncio.Future[tuple[int, bytes]] = self._loop.create_future()
        self._pending[handle] = (future, body)
        self._multi.add_handle(handle)
        try:
            return await future
        finally:
            if self._pending.pop(handle, None) is not None:  # cancelled while under way
                self._multi.remove_handle(handle)
            handle.close()

    def _watch(self, event: int, descriptor: int, multi: object, data: object) -> None:
        """libcurl says for what a socket is to be watched."""
        self._unwatch(descriptor)
        if event == pycurl.POLL_REMOVE:
            return
        self._watched[descriptor] = event
        if event & pycurl.POLL_IN:
            self._loop.add_reader(descriptor, self._act, descriptor, pycurl.CSELECT_IN)
        if event & pycurl.POLL_OUT:
            self._loop.add_writer(descriptor, self._act, descriptor, pycurl.CSELECT_OUT)

    def _unwatch(self, descriptor: int) -> None:
        event = self._watched.pop(descriptor, 0)
        if event & pycurl.POLL_IN:
            self._loop.remove_reader(descriptor)
        if event & pycurl.POLL_OUT:
            self._loop.remove_writer(descriptor)

    def _schedule(self, milliseconds: int) -> None:
        """libcurl says when it wants to be called next."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if milliseconds >= 0:
            self._timer = self._loop.call_later(milliseconds / 1000, self._act, pycurl.SOCKET_TIMEOUT, 0)

    def _act(self, descriptor: int, event: int) -> None:
        self._multi.socket_action(descriptor, event)
        while True:
            queued, succeeded, failed = self._multi.info_read()
            for handle in succeeded:
                self._finish(handle, None)
            for handle, code, message in failed:
                self._finish(handle, (code, message))
            if not queued:
                return

    def _finish(self, handle: pycurl.Curl, failure: tuple[int, str] | None) -> None:
        future, body = self._pending.pop(handle)
        self._multi.remove_handle(handle)
        if future.done():
            return
        if failure is None:
            future.set_result((int(handle.getinfo(pycurl.RESPONSE_CODE)), body.getvalue()))
        elif failure[0] == pycurl.E_OPERATION_TIMEDOUT:
            future.set_exception(TransportTimeoutError(failure[1]))
        else:
            future.set_exception(TransportError(_REASONS.get(failure[0], failure[1])))


def _certificates() -> dict[int, str]:
    """Where the trusted certificates lie: where the environment says, else where Python's own TLS looks, else pip's."""
    for name in ("SSL_CERT_FILE", "PIP_CERT"):
        if os.environ.get(name):
            return {pycurl.CAINFO: os.environ[name]}
    paths = ssl.get_default_verify_paths()
    if paths.cafile:
        return {pycurl.CAINFO: paths.cafile}
    if paths.capath:
        return {pycurl.CAPATH: paths.capath}
    try:
        from pip._vendor import certifi
    except ImportError:
        return {}
    return {pycurl.CAINFO: certifi.where()}
