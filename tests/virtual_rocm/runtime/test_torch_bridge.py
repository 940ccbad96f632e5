# SPDX-License-Identifier: MIT
"""torch's device "cuda" on the virtual GPU. Each test is a program of its own: the bridge is for whole processes.

Needs a Python with torch: the one that runs the tests, or the one that VIRTUAL_ROCM_TEST_PYTHON names.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from virtual_rocm.environment import prepare

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@functools.lru_cache(maxsize=1)
def python_with_torch() -> str | None:
    for candidate in (os.environ.get("VIRTUAL_ROCM_TEST_PYTHON"), sys.executable):
        code = "import importlib.util as u, sys; sys.exit(u.find_spec('torch') is None)"
        if candidate and subprocess.run([candidate, "-c", code], check=False).returncode == 0:
            return candidate
    return None


pytestmark = pytest.mark.skipif(
    python_with_torch() is None, reason="no Python with torch: install torch, or set VIRTUAL_ROCM_TEST_PYTHON"
)


@pytest.fixture
def run(libraries: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("VIRTUAL_ROCM_LIBRARIES", str(libraries))
    monkeypatch.setenv("VIRTUAL_ROCM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "packages").mkdir()
    variables = prepare([tmp_path / "packages"]).apply_to(os.environ)

    def program(*lines: str, **extra: str) -> subprocess.CompletedProcess[str]:
        python = python_with_torch()
        assert python is not None
        return subprocess.run(
            [python, "-c", "import ctypes, torch\n" + "\n".join(lines)],
            env={**variables, "OMP_NUM_THREADS": "1", **extra},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return program


def passes(result: subprocess.CompletedProcess[str]) -> None:
    assert result.returncode == 0, result.stderr


def test_tensors_are_where_they_are_made_and_moved(run: Run) -> None:
    passes(
        run(
            "x = torch.arange(12, dtype=torch.int32)",
            "assert not x.is_cuda and x.device.type == 'cpu' and x.get_device() == -1",
            "y = x.cuda()",
            "assert y.is_cuda and y.device == torch.device('cuda', 0) and y.get_device() == 0 and not y.is_cpu",
            "assert y.to('cuda') is y and x.to('cpu') is x and y.data_ptr() != x.data_ptr()",
            "x[0] = 99; assert y[0].item() == 0  # a copy",
            "z = y * 2 + 1",
            "assert z.is_cuda and not z.cpu().is_cuda and z.cpu().tolist() == [2 * i + 1 for i in range(12)]",
            "assert y[3:].view(3, 3).is_cuda and torch.cat([y, z]).is_cuda and torch.zeros_like(y).is_cuda",
            "assert y.to(torch.float64).is_cuda and y.to(x).device.type == 'cpu' and x.to(y).is_cuda",
            "assert y.to('cpu', torch.float32).dtype == torch.float32",
            "assert torch.tensor([1, 2], device='cuda').is_cuda and torch.rand(3, device='cuda:0').is_cuda",
            "assert torch.empty(0, device='cuda').is_cuda and not torch.empty(0).is_cuda",
            "with torch.device('cuda'): assert torch.zeros(3).is_cuda",
            "m = torch.nn.Linear(3, 4).cuda(); assert m(torch.randn(2, 3, device='cuda')).is_cuda",
            "assert 'cuda' in repr(y)",
        )
    )


def test_a_cuda_tensor_does_not_become_a_numpy_array(run: Run) -> None:
    result = run("torch.zeros(3, device='cuda').numpy()")
    assert "TypeError: can't convert cuda:0 device type tensor to numpy" in result.stderr
    passes(run("assert torch.zeros(3).numpy().sum() == 0 and torch.zeros(3, device='cuda').cpu().numpy().sum() == 0"))


def test_the_runtime_knows_every_cuda_tensor_exactly_and_no_other(run: Run) -> None:
    passes(
        run(
            "hip = ctypes.CDLL('libamdhip64.so.7')",
            "def size_at(t):",
            "    base, size = ctypes.c_void_p(), ctypes.c_size_t()",
            "    code = hip.hipMemGetAddressRange(ctypes.byref(base), ctypes.byref(size), ctypes.c_void_p(t.data_ptr()))",
            "    return size.value if code == 0 else None",
            "for n in (1, 7, 100, 5000, 1 << 20):",
            "    t = torch.zeros(n, dtype=torch.uint8, device='cuda'); assert size_at(t) == n, n",
            "    assert size_at(torch.zeros(n, dtype=torch.uint8)) is None",
            "t = torch.zeros(5000, device='cuda'); address = ctypes.c_void_p(t.data_ptr()); del t",
            "assert hip.hipMemGetAddressRange(None, None, address) == 500  # gone with the tensor",
        )
    )


def test_raw_pointers_become_tensors_on_the_same_memory(run: Run) -> None:
    passes(
        run(
            "y = torch.arange(12, dtype=torch.int32, device='cuda')",
            "class View: pass",
            "def describe(shape, kind, strides):",
            "    return dict(data=(y.data_ptr(), False), shape=shape, typestr=kind, strides=strides)",
            "v = View(); v.__cuda_array_interface__ = describe((48,), '|u1', None)",
            "t = torch.as_tensor(v, device='cuda').view(torch.int32)",
            "assert t.data_ptr() == y.data_ptr() and t.is_cuda",
            "t[0] = 77; assert y[0].item() == 77",
            "v.__cuda_array_interface__ = describe((3, 2), '<i4', (16, 4))",
            "assert torch.as_tensor(v, device='cuda').tolist() == [[77, 1], [4, 5], [8, 9]]",
            "assert torch.tensor(v).data_ptr() != y.data_ptr()",
        )
    )


def test_streams_and_events_are_the_runtimes(run: Run) -> None:
    passes(
        run(
            "assert torch.cuda.current_stream().cuda_stream == 0",
            "assert torch._C._cuda_getCurrentRawStream(0) == 0",
            "s, e, f = torch.cuda.Stream(), torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)",
            "with torch.cuda.stream(s):",
            "    assert torch.cuda.current_stream() == s and torch._C._cuda_getCurrentRawStream(0) == s.cuda_stream != 0",
            "    e.record(); torch.ones(4, device='cuda'); f.record()",
            "assert torch.cuda.current_stream().cuda_stream == 0",
            "s.synchronize(); assert f.query() and e.elapsed_time(f) >= 0",
            "torch.cuda.current_stream().wait_stream(s); torch.cuda.synchronize()",
        )
    )


def test_an_operation_comes_after_the_work_of_the_current_stream(run: Run, kernels: Path) -> None:
    passes(
        run(
            "hip = ctypes.CDLL('libamdhip64.so.7'); module, function = ctypes.c_void_p(), ctypes.c_void_p()",
            f"assert hip.hipModuleLoad(ctypes.byref(module), {str(kernels)!r}.encode()) == 0",
            "assert hip.hipModuleGetFunction(ctypes.byref(function), module, b'fill_to') == 0",
            "t = torch.zeros(1024, dtype=torch.int32, device='cuda')",
            "pointer, size = ctypes.c_void_p(t.data_ptr()), ctypes.c_int(1024)",
            "arguments = (ctypes.c_void_p * 2)(ctypes.addressof(pointer), ctypes.addressof(size))",
            "assert hip.hipModuleLaunchKernel(function, 1, 1, 1, 1024, 1, 1, 0, None, arguments, None) == 0",
            "assert t.sum().item() == 1023 * 1024 // 2",
        )
    )


def test_a_kernel_that_leaves_a_tensor_is_reported_with_its_size(run: Run, kernels: Path) -> None:
    lines = [
        "hip = ctypes.CDLL('libamdhip64.so.7'); module, function = ctypes.c_void_p(), ctypes.c_void_p()",
        f"hip.hipModuleLoad(ctypes.byref(module), {str(kernels)!r}.encode())",
        "hip.hipModuleGetFunction(ctypes.byref(function), module, b'fill_to')",
        "t = torch.zeros(16, dtype=torch.int32, device=DEVICE)",
        "pointer, size = ctypes.c_void_p(t.data_ptr()), ctypes.c_int(SIZE)",
        "arguments = (ctypes.c_void_p * 2)(ctypes.addressof(pointer), ctypes.addressof(size))",
        "hip.hipModuleLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, None, arguments, None)",
        "torch.cuda.synchronize(); print('fine')",
    ]
    inside = run("DEVICE, SIZE = 'cuda', 16", *lines)
    assert inside.stdout == "fine\n", inside.stderr
    past = run("DEVICE, SIZE = 'cuda', 17", *lines)
    assert "past the end of tensor #" in past.stderr
    assert "64 bytes at" in past.stderr
    assert "DeviceError: HIP error: an illegal memory access" in past.stderr
    host = run("DEVICE, SIZE = 'cpu', 16", *lines)
    assert "DeviceError: HIP error: an illegal memory access" in host.stderr


def test_threads_place_their_tensors_too(run: Run) -> None:
    passes(
        run(
            "import threading",
            "seen = []",
            "def work(): seen.append((torch.ones(3, device='cuda').is_cuda, torch.ones(3).is_cuda))",
            "threads = [threading.Thread(target=work) for _ in range(4)]",
            "for t in threads: t.start()",
            "for t in threads: t.join()",
            "assert seen == [(True, False)] * 4",
        )
    )


def test_the_device_answers_for_itself(run: Run) -> None:
    passes(
        run(
            "assert torch.cuda.is_available() and torch.cuda.device_count() == 8 and torch.version.hip",
            "p = torch.cuda.get_device_properties(0); assert p.warp_size == 64 and p.gcnArchName.startswith('gfx942')",
            "assert torch.cuda.get_device_capability() == (9, 4)",
            "free, total = torch.cuda.mem_get_info(); assert 0 < free <= total == p.total_memory",
            "torch.cuda.set_device(3); assert torch.cuda.current_device() == 3",
            "with torch.cuda.device(5):",
            "    assert torch.cuda.current_device() == 5 and torch.zeros(1, device='cuda').get_device() == 5",
            "assert torch.cuda.current_device() == 3",
        )
    )


def test_a_graph_runs_torchs_operations_at_each_replay_and_not_before(run: Run) -> None:
    passes(
        run(
            "x, total = torch.ones(4, device='cuda'), torch.zeros(4, device='cuda')",
            "graph = torch.cuda.CUDAGraph()",
            "with torch.cuda.graph(graph):",
            "    assert torch.cuda.is_current_stream_capturing()",
            "    y = x * 2 + 1; total += y; total[0].mul_(10); made = torch.full((2,), 7., device='cuda')",
            "assert not torch.cuda.is_current_stream_capturing()",
            "assert total.tolist() == [0, 0, 0, 0]",
            "made.zero_()",
            "graph.replay()",
            "assert y.tolist() == [3, 3, 3, 3] and total.tolist() == [30, 3, 3, 3] and made.tolist() == [7, 7]",
            "x.fill_(2); graph.replay()",
            "assert y.tolist() == [5, 5, 5, 5] and total.tolist() == [350, 8, 8, 8]",
            "graph.reset()",
        )
    )


def test_a_graph_keeps_kernels_and_operations_in_order(run: Run, kernels: Path) -> None:
    passes(
        run(
            "hip = ctypes.CDLL('libamdhip64.so.7'); module, function = ctypes.c_void_p(), ctypes.c_void_p()",
            f"hip.hipModuleLoad(ctypes.byref(module), {str(kernels)!r}.encode())",
            "hip.hipModuleGetFunction(ctypes.byref(function), module, b'fill_to')",
            "t = torch.zeros(64, dtype=torch.int32, device='cuda'); doubled = torch.zeros_like(t)",
            "pointer, size = ctypes.c_void_p(t.data_ptr()), ctypes.c_int(64)",
            "arguments = (ctypes.c_void_p * 2)(ctypes.addressof(pointer), ctypes.addressof(size))",
            "def launch():",
            "    stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)",
            "    assert hip.hipModuleLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, stream, arguments, None) == 0",
            "graph = torch.cuda.CUDAGraph()",
            "with torch.cuda.graph(graph):",
            "    t.fill_(-1); launch(); doubled.copy_(t * 2); launch(); t.add_(1)",
            "assert t.sum().item() == 0",
            "for _ in range(3):",
            "    t.fill_(9); graph.replay()",
            "    assert doubled.tolist() == [2 * n for n in range(64)] and t.tolist() == [n + 1 for n in range(64)]",
        )
    )


@pytest.mark.parametrize(
    "line", ["x.cpu()", "x.sum().item()", "bool(x[0])", "x[x > 0]", "x.nonzero()", "torch.cuda.synchronize()"]
)
def test_what_needs_values_cannot_be_captured(run: Run, line: str) -> None:
    result = run(
        "x = torch.ones(4, device='cuda'); graph = torch.cuda.CUDAGraph()",
        "try:",
        "    with torch.cuda.graph(graph):",
        f"        {line}",
        "except RuntimeError as error:",
        "    import traceback; traceback.print_exc()",
        "x.add_(1); assert x.tolist() == [2, 2, 2, 2]; print('fine')",
    )
    assert result.stdout == "fine\n", result.stderr
    assert "operation not permitted when stream is capturing" in result.stderr


def test_a_graph_that_holds_nothing_says_so(run: Run) -> None:
    assert "without a preceding successful capture" in run("torch.cuda.CUDAGraph().replay()").stderr


def test_a_sitecustomize_of_the_programs_own_still_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "sitecustomize.py").write_text("import builtins\nbuiltins.own_ran = True\n")
    bridge = Path(__file__).resolve().parents[3] / "virtual_rocm" / "bridge"
    passes(run("assert own_ran and torch.cuda.is_available()", PYTHONPATH=f"{bridge}:{tmp_path / 'own'}"))
