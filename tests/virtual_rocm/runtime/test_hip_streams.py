# SPDX-License-Identifier: MIT
"""Order of work: within a stream, between streams and the null stream, through events."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator
from ctypes import byref, c_float, c_void_p

import hip_library as h
import pytest
from hip_library import Hip

HostFunction = ctypes.CFUNCTYPE(None, c_void_p)


class Recorder:
    """Puts host functions on streams, and keeps the order in which they ran."""

    def __init__(self, hip: Hip) -> None:
        self.hip, self.order, self.gate = hip, [], threading.Event()
        self._kept: list[object] = []

    def put(self, stream: int, name: str, wait: bool = False) -> None:
        def run(_: object) -> None:
            if wait:
                self.gate.wait(20)
            self.order.append(name)

        function = HostFunction(run)
        self._kept.append(function)
        self.hip.check(self.hip.hipLaunchHostFunc(stream, ctypes.cast(function, c_void_p), None))


@pytest.fixture
def recorder(hip: Hip) -> Recorder:
    return Recorder(hip)


@pytest.fixture
def stream(hip: Hip) -> Iterator[Callable[[bool], int]]:
    made: list[int] = []

    def make(blocking: bool) -> int:
        made.append(hip.make("hipStreamCreateWithFlags", 0 if blocking else 1))
        return made[-1]

    yield make
    for handle in made:
        hip.check(hip.hipStreamDestroy(handle))


def test_work_of_one_stream_runs_in_order(hip: Hip, recorder: Recorder, stream) -> None:  # type: ignore[no-untyped-def]
    one = stream(False)
    for number in range(50):
        recorder.put(one, str(number))
    hip.check(hip.hipStreamSynchronize(one))
    assert recorder.order == [str(number) for number in range(50)]


def test_two_streams_do_not_wait_for_each_other(hip: Hip, recorder: Recorder, stream) -> None:  # type: ignore[no-untyped-def]
    one, two = stream(False), stream(False)
    recorder.put(one, "held", wait=True)
    recorder.put(two, "free")
    hip.check(hip.hipStreamSynchronize(two))
    assert recorder.order == ["free"]
    assert hip.hipStreamQuery(one) == h.NOT_READY
    assert hip.hipStreamQuery(two) == h.SUCCESS
    recorder.gate.set()
    hip.check(hip.hipDeviceSynchronize())
    assert recorder.order == ["free", "held"]


@pytest.mark.parametrize(("blocking", "order"), [(True, ["held", "null", "after"]), (False, ["after", "held", "null"])])
def test_the_null_stream_keeps_order_with_blocking_streams_only(  # type: ignore[no-untyped-def]
    hip: Hip, recorder: Recorder, stream, blocking: bool, order: list[str]
) -> None:
    first, second = stream(True), stream(blocking)
    recorder.put(first, "held", wait=True)
    recorder.put(0, "null")
    recorder.put(second, "after")
    time.sleep(0.1)
    recorder.gate.set()
    hip.check(hip.hipDeviceSynchronize())
    assert recorder.order == order


def test_a_stream_waits_for_an_event_of_another(hip: Hip, recorder: Recorder, stream) -> None:  # type: ignore[no-untyped-def]
    one, two = stream(False), stream(False)
    event = hip.make("hipEventCreateWithFlags", 2)
    recorder.put(one, "first", wait=True)
    hip.check(hip.hipEventRecord(event, one))
    hip.check(hip.hipStreamWaitEvent(two, event, 0))
    recorder.put(two, "second")
    assert hip.hipEventQuery(event) == h.NOT_READY
    time.sleep(0.1)
    assert recorder.order == []
    recorder.gate.set()
    hip.check(hip.hipStreamSynchronize(two))
    assert recorder.order == ["first", "second"]
    assert hip.hipEventQuery(event) == h.SUCCESS
    hip.check(hip.hipEventDestroy(event))


def test_an_event_stands_for_its_latest_record(hip: Hip, recorder: Recorder, stream) -> None:  # type: ignore[no-untyped-def]
    one = stream(False)
    event = hip.make("hipEventCreateWithFlags", 2)
    assert hip.hipEventQuery(event) == h.SUCCESS  # never recorded
    hip.check(hip.hipEventSynchronize(event))
    hip.check(hip.hipEventRecord(event, one))
    hip.check(hip.hipEventSynchronize(event))
    recorder.put(one, "held", wait=True)
    hip.check(hip.hipEventRecord(event, one))
    assert hip.hipEventQuery(event) == h.NOT_READY
    recorder.gate.set()
    hip.check(hip.hipEventSynchronize(event))
    assert recorder.order == ["held"]
    hip.check(hip.hipEventDestroy(event))


def test_elapsed_time_is_that_of_the_work_between(hip: Hip, recorder: Recorder, stream) -> None:  # type: ignore[no-untyped-def]
    one = stream(False)
    begin, end = (hip.make("hipEventCreateWithFlags", 0) for _ in range(2))
    hip.check(hip.hipEventRecord(begin, one))
    recorder.put(one, "held", wait=True)
    hip.check(hip.hipEventRecord(end, one))
    milliseconds = c_float()
    hip.check(hip.hipEventSynchronize(begin))
    assert hip.hipEventElapsedTime(byref(milliseconds), begin, end) == h.NOT_READY
    time.sleep(0.05)
    recorder.gate.set()
    hip.check(hip.hipEventSynchronize(end))
    hip.check(hip.hipEventElapsedTime(byref(milliseconds), begin, end))
    assert 50 <= milliseconds.value < 5000
    silent = hip.make("hipEventCreateWithFlags", 2)
    hip.check(hip.hipEventRecord(silent, one))
    hip.check(hip.hipEventSynchronize(silent))
    assert hip.hipEventElapsedTime(byref(milliseconds), begin, silent) == h.INVALID_HANDLE
    for event in (begin, end, silent):
        hip.check(hip.hipEventDestroy(event))


def test_a_copy_waits_for_the_work_before_it(hip: Hip, recorder: Recorder, stream) -> None:  # type: ignore[no-untyped-def]
    one = stream(True)
    pointer = hip.malloc(8)
    recorder.put(one, "held", wait=True)
    hip.check(hip.hipMemsetAsync(pointer, 0x41, 8, one))
    threading.Timer(0.1, recorder.gate.set).start()
    assert hip.read(pointer, 8) == b"A" * 8  # hipMemcpy is on the null stream, which waits for a blocking one
    hip.check(hip.hipFree(pointer))


def test_a_destroyed_stream_still_finishes_its_work(hip: Hip, recorder: Recorder) -> None:
    handle = hip.make("hipStreamCreateWithFlags", 1)
    recorder.put(handle, "held", wait=True)
    hip.check(hip.hipStreamDestroy(handle))
    assert hip.hipStreamDestroy(handle) == h.INVALID_HANDLE
    assert hip.hipStreamSynchronize(handle) == h.INVALID_HANDLE
    recorder.gate.set()
    deadline = time.monotonic() + 5
    while not recorder.order and time.monotonic() < deadline:
        time.sleep(0.01)
    assert recorder.order == ["held"]


def test_handles_that_are_none_are_refused(hip: Hip) -> None:
    assert hip.hipEventRecord(0xDEAD0, 0) == h.INVALID_HANDLE
    assert hip.hipStreamDestroy(0) == h.INVALID_HANDLE
    assert hip.hipEventDestroy(0xDEAD0) == h.INVALID_HANDLE
