# SPDX-License-Identifier: MIT
"""The row gathers of engine_speed.py as OpenCL kernels, on one OpenCL platform; prints one JSON object.

Run by engine_speed.py, in a process of its own, because the number of threads and the platform are settled
when OpenCL starts. By hand:

    POCL_MAX_PTHREAD_COUNT=1 python benchmarks/rivals/opencl_gather.py --platform "Portable Computing Language"
    OCL_ICD_VENDORS=/usr/lib/oclgrind/liboclgrind-rt-icd.so python benchmarks/rivals/opencl_gather.py --platform Oclgrind

The object has "seconds" by kernel (best repeat, wall clock, the second launch on), "memcpy" for as many bytes in
the same process, and "rows", as a slow platform is given fewer.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Callable

import numpy
import pyopencl

WIDTH = 7168  # words of a row
LOCAL = 256

SOURCE = """
kernel void row_gather(global uint4* to, global const uint4* from, global const uint* index, uint width) {
  size_t row = index[get_group_id(0)];
  for (uint i = get_local_id(0); i < width / 4; i += get_local_size(0))
    to[get_group_id(0) * (width / 4) + i] = from[row * (width / 4) + i];
}
kernel void row_gather_words(global uint* to, global const uint* from, global const uint* index, uint width) {
  size_t row = index[get_group_id(0)];
  for (uint i = get_local_id(0); i < width; i += get_local_size(0))
    to[get_group_id(0) * width + i] = from[row * width + i];
}
kernel void row_gather_lds(global uint* to, global const uint* from, global const uint* index, uint width) {
  local uint tile[256];
  size_t row = index[get_group_id(0)];
  uint t = get_local_id(0);
  for (uint i = 0; i < width; i += 256) {
    tile[t] = from[row * width + i + t];
    barrier(CLK_LOCAL_MEM_FENCE);
    to[get_group_id(0) * width + i + t] = tile[255 - t];
    barrier(CLK_LOCAL_MEM_FENCE);
  }
}
"""
KERNELS = ("row_gather", "row_gather_words", "row_gather_lds")


def best(action: Callable[[], object], repeats: int) -> float:
    """Seconds of the fastest repeat; one more comes before them and does not count."""
    action()
    fastest = float("inf")
    for _ in range(repeats):
        began = time.perf_counter()
        action()
        fastest = min(fastest, time.perf_counter() - began)
    return fastest


def main() -> None:
    """Measures and prints; SystemExit if the platform is not there or a result is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--platform", required=True, help="OpenCL's name of it, or the beginning of the name")
    parser.add_argument("--rows", type=int, default=2340)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    names = {platform.name: platform for platform in pyopencl.get_platforms()}
    chosen = next((platform for name, platform in names.items() if name.startswith(arguments.platform)), None)
    if chosen is None:
        raise SystemExit(f"no OpenCL platform {arguments.platform!r}; there are {sorted(names)}")
    rows = arguments.rows
    context = pyopencl.Context(chosen.get_devices())
    queue = pyopencl.CommandQueue(context)
    program = pyopencl.Program(context, SOURCE).build()
    source = numpy.random.default_rng(1).integers(0, 2**32, rows * WIDTH, dtype=numpy.uint32)
    target = numpy.zeros_like(source)
    order = numpy.array(random.Random(1).sample(range(rows), rows), dtype=numpy.uint32)
    flags = pyopencl.mem_flags
    read_only = flags.READ_ONLY | flags.COPY_HOST_PTR
    from_buffer = pyopencl.Buffer(context, read_only, hostbuf=source)
    index_buffer = pyopencl.Buffer(context, read_only, hostbuf=order)
    to_buffer = pyopencl.Buffer(context, flags.WRITE_ONLY, source.nbytes)
    gathered = source.reshape(rows, WIDTH)[order]
    turned = gathered.reshape(rows, -1, LOCAL)[:, :, ::-1].reshape(rows, WIDTH)
    seconds = {}
    for name in KERNELS:
        kernel = pyopencl.Kernel(program, name)
        kernel.set_args(to_buffer, from_buffer, index_buffer, numpy.uint32(WIDTH))

        def launch(kernel: pyopencl.Kernel = kernel) -> None:
            pyopencl.enqueue_nd_range_kernel(queue, kernel, (rows * LOCAL,), (LOCAL,))
            queue.finish()

        seconds[name] = best(launch, arguments.repeats)
        pyopencl.enqueue_copy(queue, target, to_buffer)
        expected = turned if name == "row_gather_lds" else gathered
        if not numpy.array_equal(target.reshape(rows, WIDTH), expected):
            raise SystemExit(f"{name} on {chosen.name}: the rows are not what they should be")
    print(
        json.dumps(
            {
                "platform": f"{chosen.name} {chosen.version}",
                "rows": rows,
                "seconds": seconds,
                "memcpy": best(lambda: numpy.copyto(target, source), arguments.repeats),
            }
        )
    )


if __name__ == "__main__":
    main()
