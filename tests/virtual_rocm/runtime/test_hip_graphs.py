# SPDX-License-Identifier: MIT
"""Capture of streams into graphs: nothing runs while it lasts, everything at each launch, and what would break it says so."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterator
from ctypes import byref, c_int, c_size_t, c_ulonglong, c_void_p
from pathlib import Path

import hip_library as h
import pytest
from hip_library import Hip
from test_hip_streams import Recorder

GLOBAL, OWN_THREAD, RELAXED = range(3)
ACTIVE, INVALIDATED = 1, 2


@pytest.fixture
def recorder(hip: Hip) -> Recorder:
    return Recorder(hip)


@pytest.fixture
def stream(hip: Hip) -> Iterator[Callable[[], int]]:
    made: list[int] = []

    def make(blocking: bool = False) -> int:
        made.append(hip.make("hipStreamCreateWithFlags", 0 if blocking else 1))
        return made[-1]

    yield make
    for handle in made:
        hip.check(hip.hipStreamDestroy(handle))


def end(hip: Hip, stream: int) -> int:
    graph = c_void_p()
    hip.check(hip.hipStreamEndCapture(stream, byref(graph)))
    return graph.value or 0


def ready(hip: Hip, graph: int) -> int:
    handle = hip.make("hipGraphInstantiate", graph, None, None, 0)
    hip.check(hip.hipGraphDestroy(graph))
    return handle


def status(hip: Hip, stream: int) -> int:
    value = c_int(-1)
    hip.check(hip.hipStreamIsCapturing(stream, byref(value)))
    return value.value


def error_of_end(hip: Hip, stream: int) -> int:
    graph = c_void_p()
    code = hip.hipStreamEndCapture(stream, byref(graph))
    assert graph.value is None
    return int(code)


def test_captured_work_runs_at_each_launch_and_not_before(hip: Hip, recorder: Recorder, stream) -> None:  # type: ignore[no-untyped-def]
    one, two = stream(), stream()
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    assert status(hip, one) == ACTIVE
    assert status(hip, two) == 0
    recorder.put(one, "first")
    recorder.put(one, "second")
    graph = end(hip, one)
    count = c_size_t()
    hip.check(hip.hipGraphGetNodes(graph, None, byref(count)))
    assert (count.value, status(hip, one), recorder.order) == (2, 0, [])
    launched = ready(hip, graph)
    for expected in (2, 4):
        hip.check(hip.hipGraphLaunch(launched, two))
        hip.check(hip.hipStreamSynchronize(two))
        assert recorder.order == ["first", "second"] * (expected // 2)
    hip.check(hip.hipGraphLaunch(launched, two))
    hip.check(hip.hipGraphExecDestroy(launched))  # what was launched still runs
    hip.check(hip.hipStreamSynchronize(two))
    assert len(recorder.order) == 6


def test_copies_and_fills_are_captured_with_their_addresses_not_their_contents(hip: Hip, stream) -> None:  # type: ignore[no-untyped-def]
    one = stream()
    source, target = hip.malloc(8), hip.malloc(8)
    host = ctypes.create_string_buffer(b"pageable", 8)
    hip.write(source, b"aaaaaaaa")
    hip.check(hip.hipStreamBeginCapture(one, OWN_THREAD))
    hip.check(hip.hipMemcpyAsync(target, source, 8, h.DEVICE_TO_DEVICE, one))
    hip.check(hip.hipMemsetAsync(target, 0x42, 2, one))
    hip.check(hip.hipMemcpyAsync(target + 6, ctypes.addressof(host), 2, h.HOST_TO_DEVICE, one))
    launched = ready(hip, end(hip, one))
    assert hip.read(target, 8) != b"BBaaaapa"
    for letter, text in (("a", b"pa"), ("c", b"xy")):
        hip.write(source, letter.encode() * 8)
        host[0:2] = text
        hip.check(hip.hipGraphLaunch(launched, one))
        hip.check(hip.hipStreamSynchronize(one))
        assert hip.read(target, 8) == b"BB" + letter.encode() * 4 + text
    hip.check(hip.hipGraphExecDestroy(launched))
    for pointer in (source, target):
        hip.check(hip.hipFree(pointer))


def test_a_kernel_is_captured_with_the_arguments_that_it_was_given(hip: Hip, kernels: Path, stream) -> None:  # type: ignore[no-untyped-def]
    one = stream()
    function = hip.make("hipModuleGetFunction", hip.make("hipModuleLoad", str(kernels).encode()), b"fill_to")
    pointer, size = c_void_p(hip.malloc(64 * 4)), c_int(64)
    hip.check(hip.hipMemset(pointer, 0, 256))
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    hip.check(hip.launch(function, [pointer, size], stream=one))
    size.value = 3  # the arguments are the graph's by now
    launched = ready(hip, end(hip, one))
    assert hip.read(pointer.value or 0, 256) == bytes(256)
    hip.check(hip.hipGraphLaunch(launched, one))
    hip.check(hip.hipStreamSynchronize(one))
    assert hip.read(pointer.value or 0, 256)[-4:] == (63).to_bytes(4, "little")
    hip.check(hip.hipGraphExecDestroy(launched))
    hip.check(hip.hipFree(pointer))


def test_streams_join_a_capture_through_events(hip: Hip, recorder: Recorder, stream) -> None:  # type: ignore[no-untyped-def]
    one, two = stream(), stream()
    fork, join = (hip.make("hipEventCreateWithFlags", 2) for _ in range(2))
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    recorder.put(one, "first")
    hip.check(hip.hipEventRecord(fork, one))
    hip.check(hip.hipStreamWaitEvent(two, fork, 0))
    assert status(hip, two) == ACTIVE
    numbers = [c_ulonglong(), c_ulonglong()]
    for handle, number in zip((one, two), numbers, strict=True):
        hip.check(hip.hipStreamGetCaptureInfo(handle, byref(c_int()), byref(number)))
    assert numbers[0].value == numbers[1].value > 0
    recorder.put(two, "forked")
    hip.check(hip.hipEventRecord(join, two))
    hip.check(hip.hipStreamWaitEvent(one, join, 0))
    recorder.put(one, "joined")
    launched = ready(hip, end(hip, one))
    assert status(hip, two) == 0
    hip.check(hip.hipGraphLaunch(launched, one))
    hip.check(hip.hipStreamSynchronize(one))
    assert recorder.order == ["first", "forked", "joined"]
    hip.check(hip.hipGraphExecDestroy(launched))
    for event in (fork, join):
        hip.check(hip.hipEventDestroy(event))


def test_a_stream_that_joined_must_be_waited_for(hip: Hip, recorder: Recorder, stream) -> None:  # type: ignore[no-untyped-def]
    one, two = stream(), stream()
    fork = hip.make("hipEventCreateWithFlags", 2)
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    hip.check(hip.hipEventRecord(fork, one))
    hip.check(hip.hipStreamWaitEvent(two, fork, 0))
    recorder.put(two, "lost")
    assert hip.hipStreamEndCapture(two, byref(c_void_p())) == 903  # it began on the other
    hip.check(hip.hipEventDestroy(fork))
    assert error_of_end(hip, one) == 901
    fork = hip.make("hipEventCreateWithFlags", 2)
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    hip.check(hip.hipEventRecord(fork, one))
    hip.check(hip.hipStreamWaitEvent(two, fork, 0))
    recorder.put(two, "lost")
    assert error_of_end(hip, one) == 904
    assert recorder.order == []
    hip.check(hip.hipEventDestroy(fork))


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda hip, one, event: hip.hipStreamSynchronize(one), 900),
        (lambda hip, one, event: hip.hipStreamQuery(one), 900),
        (lambda hip, one, event: hip.hipDeviceSynchronize(), 900),
        (lambda hip, one, event: hip.hipMalloc(byref(c_void_p()), 64), 900),
        (lambda hip, one, event: hip.hipMemcpy(ctypes.create_string_buffer(8), b"12345678", 8, 4), 900),
        (lambda hip, one, event: hip.hipEventQuery(event), 907),
        (lambda hip, one, event: hip.hipEventSynchronize(event), 907),
    ],
)
def test_what_waits_breaks_a_capture_and_says_so(hip: Hip, recorder: Recorder, stream, call, code: int) -> None:  # type: ignore[no-untyped-def]
    one = stream()
    event = hip.make("hipEventCreateWithFlags", 2)
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    hip.check(hip.hipEventRecord(event, one))
    assert call(hip, one, event) == code
    assert status(hip, one) == INVALIDATED
    assert hip.hipLaunchHostFunc(one, ctypes.cast(ctypes.CFUNCTYPE(None)(lambda: None), c_void_p), None) == 901
    assert error_of_end(hip, one) == 901
    assert status(hip, one) == 0
    hip.check(hip.hipStreamSynchronize(one))
    hip.check(hip.hipEventDestroy(event))


def test_the_null_stream_and_blocking_streams_do_not_go_together_with_capture(hip: Hip, stream) -> None:  # type: ignore[no-untyped-def]
    assert hip.hipStreamBeginCapture(0, GLOBAL) == 900
    blocking = stream(True)
    pointer = hip.malloc(8)
    hip.check(hip.hipStreamBeginCapture(blocking, GLOBAL))
    assert hip.hipMemsetAsync(pointer, 0, 8, 0) == 906
    assert error_of_end(hip, blocking) == 901
    hip.check(hip.hipFree(pointer))


def test_a_thread_may_say_how_careful_its_calls_are(hip: Hip, stream) -> None:  # type: ignore[no-untyped-def]
    one = stream()
    codes: list[int] = []

    def allocate(mode: int) -> None:
        wanted = c_int(mode)
        codes.append(hip.hipThreadExchangeStreamCaptureMode(byref(wanted)))
        assert wanted.value == GLOBAL  # what a thread starts with
        pointer = c_void_p()
        codes.append(hip.hipMalloc(byref(pointer), 64))

    for capture, careful, code in (
        (GLOBAL, GLOBAL, 900),
        (GLOBAL, OWN_THREAD, 0),
        (GLOBAL, RELAXED, 0),
        (OWN_THREAD, GLOBAL, 0),
        (RELAXED, GLOBAL, 0),
    ):
        hip.check(hip.hipStreamBeginCapture(one, capture))
        thread = threading.Thread(target=allocate, args=(careful,))
        thread.start()
        thread.join()
        assert codes[-2:] == [0, code], (capture, careful)
        if code:
            assert error_of_end(hip, one) == 901
        else:
            hip.check(hip.hipGraphDestroy(end(hip, one)))


def test_only_the_thread_that_began_ends_a_capture(hip: Hip, stream) -> None:  # type: ignore[no-untyped-def]
    one = stream()
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(hip.hipStreamEndCapture(one, byref(c_void_p()))))
    thread.start()
    thread.join()
    assert codes == [908]
    hip.check(hip.hipGraphDestroy(end(hip, one)))


def test_captures_do_not_mix(hip: Hip, stream) -> None:  # type: ignore[no-untyped-def]
    one, two = stream(), stream()
    outside, inside = (hip.make("hipEventCreateWithFlags", 2) for _ in range(2))
    hip.check(hip.hipEventRecord(outside, two))
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    assert hip.hipStreamBeginCapture(one, GLOBAL) == 401
    assert hip.hipStreamWaitEvent(one, outside, 0) == 905
    assert error_of_end(hip, one) == 901
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    hip.check(hip.hipStreamBeginCapture(two, GLOBAL))
    hip.check(hip.hipEventRecord(inside, one))
    assert hip.hipStreamWaitEvent(two, inside, 0) == 902
    assert [error_of_end(hip, handle) for handle in (one, two)] == [901, 901]
    assert error_of_end(hip, one) == 401  # nothing is captured any more
    for event in (outside, inside):
        hip.check(hip.hipEventDestroy(event))


def test_an_event_of_a_capture_that_ended_stands_for_nothing_in_the_next(hip: Hip, recorder: Recorder, stream) -> None:  # type: ignore[no-untyped-def]
    one, two = stream(), stream()
    event = hip.make("hipEventCreateWithFlags", 2)
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    hip.check(hip.hipEventRecord(event, one))
    hip.check(hip.hipGraphDestroy(end(hip, one)))
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    hip.check(hip.hipStreamWaitEvent(two, event, 0))
    assert status(hip, two) == 0
    assert hip.hipEventQuery(event) == h.SUCCESS
    recorder.put(two, "runs")
    hip.check(hip.hipStreamSynchronize(two))
    assert recorder.order == ["runs"]
    hip.check(hip.hipGraphDestroy(end(hip, one)))
    hip.check(hip.hipEventDestroy(event))


def test_a_capture_whose_stream_is_destroyed_lets_the_others_go(hip: Hip, recorder: Recorder, stream) -> None:  # type: ignore[no-untyped-def]
    one, two = hip.make("hipStreamCreateWithFlags", 1), stream()
    event = hip.make("hipEventCreateWithFlags", 2)
    hip.check(hip.hipStreamBeginCapture(one, GLOBAL))
    hip.check(hip.hipEventRecord(event, one))
    hip.check(hip.hipStreamWaitEvent(two, event, 0))
    assert status(hip, two) == ACTIVE
    hip.check(hip.hipStreamDestroy(one))
    assert status(hip, two) == 0
    recorder.put(two, "runs")
    hip.check(hip.hipStreamSynchronize(two))
    assert recorder.order == ["runs"]
    hip.check(hip.hipEventDestroy(event))


def test_handles_that_are_no_graphs_are_refused(hip: Hip) -> None:
    assert hip.hipGraphLaunch(0xDEAD0, 0) == h.INVALID_VALUE
    assert hip.hipGraphDestroy(0xDEAD0) == h.INVALID_VALUE
    assert hip.hipGraphExecDestroy(0xDEAD0) == h.INVALID_VALUE
    assert hip.hipGraphInstantiate(byref(c_void_p()), 0xDEAD0, None, None, 0) == h.INVALID_VALUE
