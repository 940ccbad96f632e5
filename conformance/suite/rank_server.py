# SPDX-License-Identifier: MIT
"""A process that has imported torch and forks ranks on request: starting a group costs a second instead of ten.

It speaks lines of JSON. A request on standard input starts one group: {"jobs": path, "folder": path, "world_size": n, "port": n,
"variables": {…}}.
It answers {"pids": […]} and later, for each rank, {"ended": pid, "code": n}, where a signal is a negative code. What ranks print
goes to `output.RANK` in the folder. The end of standard input ends the server and all of its ranks.

Nothing here touches a device: a HIP runtime does not survive a fork, so each rank makes its own.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import sys
import time
from pathlib import Path
from typing import Any

__all__ = ["die_with_parent", "output_name", "serve"]

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Be killed when the process that started this one dies, however it does."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))


def output_name(rank: int) -> str:
    return f"output.{rank}"


class _Server:
    def __init__(self) -> None:
        # Ranks print to standard output and error; the answers have a descriptor of their own, which no rank gets.
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)
        self._requests = os.dup(0)
        os.set_inheritable(self._requests, False)
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        os.close(null)
        self._selector = selectors.DefaultSelector()
        self._ranks: dict[int, int] = {}  # pidfd → pid

    def answer(self, message: dict[str, Any]) -> None:
        self._answers.write(json.dumps(message) + "\n")
        self._answers.flush()

    def serve(self) -> None:
        self._selector.register(self._requests, selectors.EVENT_READ, None)
        partial = b""
        while True:
            for key, _ in self._selector.select():
                if key.data is not None:
                    self._reap(key.fd)
                    continue
                data = os.read(self._requests, 65536)
                if not data:
                    self._end_all()
                    return
                *lines, partial = (partial + data).split(b"\n")
                for line in lines:
                    self._start(json.loads(line))

    def _start(self, request: dict[str, Any]) -> None:
        pids = []
        for rank in range(request["world_size"]):
            pid = os.fork()
            if pid == 0:
                self._be_rank(rank, request)
            pids.append(pid)
            descriptor = os.pidfd_open(pid)
            self._ranks[descriptor] = pid
            self._selector.register(descriptor, selectors.EVENT_READ, pid)
        self.answer({"pids": pids})

    def _be_rank(self, rank: int, request: dict[str, Any]) -> None:
        """In the child; does not return."""
        code = 1
        try:
            die_with_parent()
            # A session of its own: what the rank starts (a compiler) can be ended with it.
            os.setsid()
            self._answers.close()
            os.close(self._requests)
            for descriptor in self._ranks:
                os.close(descriptor)
            folder = Path(request["folder"])
            output = os.open(folder / output_name(rank), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
            os.dup2(output, 1)
            os.dup2(output, 2)
            os.close(output)
            os.environ.update(
                {
                    **request["variables"],
                    "RANK": str(rank),
                    "LOCAL_RANK": str(rank),
                    "WORLD_SIZE": str(request["world_size"]),
                    "LOCAL_WORLD_SIZE": str(request["world_size"]),
                    "GROUP_RANK": "0",
                    "MASTER_ADDR": "127.0.0.1",
                    "MASTER_PORT": str(request["port"]),
                }
            )
            from conformance.suite.playing import main

            code = main(Path(request["jobs"]), folder, rank, request["world_size"])
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _reap(self, descriptor: int) -> None:
        pid = self._ranks.pop(descriptor)
        self._selector.unregister(descriptor)
        os.close(descriptor)
        _, status = os.waitpid(pid, 0)
        self.answer({"ended": pid, "code": os.waitstatus_to_exitcode(status)})

    def _end_all(self) -> None:
        for pid in self._ranks.values():
            for end in (os.killpg, os.kill):  # the group may not exist yet, or no more
                try:
                    end(pid, signal.SIGKILL)
                except (ProcessLookupError, PermissionError):
                    continue


def serve() -> int:
    """Serve until standard input ends; returns the exit code."""
    server = _Server()
    start = time.perf_counter()
    for name in ("numpy", "torch", "torch.distributed", "conformance.suite.playing"):
        importlib.import_module(name)
    # What torch is made of lives as long as the ranks do: no collection of theirs need look at it, nor copy its pages.
    gc.freeze()
    server.answer({"ready": round(time.perf_counter() - start, 2)})
    server.serve()
    return 0
