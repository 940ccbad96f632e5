# SPDX-License-Identifier: MIT
"""Regenerate sizes.jsonl: compile upstream's own size arithmetic and print what it would allocate.

For each wheel it cuts the configuration struct and the four `Initialize…` functions out of the sources that
the wheel ships, compiles them with a host compiler against allocation functions that only print, and runs
them for a set of shapes. No GPU, no ROCm, and nothing of upstream's is kept: only the numbers.

    python generate.py 1.2.4=path/to/unpacked/wheel 1.1.1@cp312=… > sizes.jsonl

Two kinds of lines: `buffers` names the allocations in order, as memory and name; each `case` after it gives
their bytes for one release and shape.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SUBJECT = "ops/dispatch_combine/dispatch_combine"
FUNCTIONS = (
    "InitializeShmemBuf",
    "InitializeTokenNumSignalBuf",
    "InitializeOrderMapBuf",
    "InitializeBarrier",
)
QUANT_TYPES = {
    "none": "None",
    "fp8_direct_cast": "Fp8DirectCast",
    "fp8_blockwise": "Fp8BlockwiseQuant",
    "fp4_blockwise": "Fp4BlockwiseQuant",
}
FIELDS = {
    "world_size": "worldSize",
    "hidden_dim": "hiddenDim",
    "scale_dim": "scaleDim",
    "scale_type_size": "scaleTypeSize",
    "max_token_type_size": "maxTokenTypeSize",
    "max_num_inp_token_per_rank": "maxNumInpTokenPerRank",
    "num_experts_per_rank": "numExpertPerRank",
    "num_experts_per_token": "numExpertPerToken",
    "max_total_recv_tokens": "maxTotalRecvTokens",
    "gpu_per_node": "gpuPerNode",
    "num_qp_per_pe": "numQpPerPe",
}
# One shape per situation: worst case; a cap that W does not divide; two nodes; odd hidden_dim and no scales.
SHAPES = (
    (8, 7168, 56, 4, 2, 4096, 32, 8, 0, 8, 2, 56),
    (8, 7168, 56, 4, 2, 4096, 32, 8, 5000, 8, 2, 56),
    (16, 7168, 224, 1, 2, 128, 16, 8, 1000, 8, 2, 56),
    (2, 2049, 0, 0, 4, 33, 3, 9, 7, 2, 1, 40),
)
KERNELS = ("IntraNode", "InterNode", "InterNodeV1", "InterNodeV1LL", "AsyncLL", "IntraNodeLL")
QUANTISED = (
    ("IntraNode", "fp8_direct_cast"),
    ("IntraNode", "fp8_blockwise"),
    ("IntraNode", "fp4_blockwise"),
    ("IntraNodeLL", "fp8_blockwise"),
    ("AsyncLL", "fp8_blockwise"),
    ("InterNodeV1", "fp4_blockwise"),
)

PRELUDE = """
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>
#include <sys/types.h>
#define __host__
#define __device__
#define HIP_RUNTIME_CHECK(call) call
#define hipMemset(...) (void)0
#define hipMalloc(pointer, size) report("device", #pointer + 1, size)
enum { hipDeviceMallocUncached };
using index_t = int32_t;
static void report(const char* memory, const char* name, size_t size, int = 0) {
  std::printf("%s %s %zu\\n", memory, name, size);
}
"""


def cut(text: str, start: str, end: str) -> str:
    begin = text.index(start)
    return text[begin : text.index(end, begin) + len(end)]


def program(header: str, source: str) -> str:
    """A C++ program around the cut pieces; argv holds FIELDS in order, then kernel, quant and scales."""
    enums = cut(header, "enum KernelType", "};") + cut(header, "enum class QuantType", "};")
    predicate = "inline __host__ __device__ bool IsBlockwiseCombineQuant"
    helper = cut(header, predicate, "\n}\n") if predicate in header else ""
    config = cut(header, "struct EpDispatchCombineConfig", "\n};\n")
    bodies = "".join(cut(source, f"void EpDispatchCombineHandle::{name}() {{", "\n}\n") for name in FUNCTIONS)
    bodies = bodies.replace("EpDispatchCombineHandle::", "")
    bodies = re.sub(r"auto& bufs = [^;]*;", "", bodies)
    bodies = re.sub(r"crossDeviceBarrierFlag\[0\] =[^;]*;", "", bodies)
    allocate = r"(?:bufs\.)?(\w+)\s*=\s*(?:ShmemMallocAndReturnMemObjPtr|MallocSymm)\("
    bodies = re.sub(allocate, r'report("symmetric", "\1", ', bodies)
    assignments = "".join(
        f"config.{member} = std::atoi(argv[{index}]);\n"
        for index, member in enumerate(FIELDS.values(), start=1)
        if member in config
    )
    state = "int fp8BlockwiseCombineScaleDim = 0, fp8BlockwiseCombineScaleTypeSize = 0;\n"
    state += "bool disableRdmaAtomics = false;\n"
    kernel, quant, scales = (len(FIELDS) + offset for offset in (1, 2, 3))
    main = f"""
int main(int, char** argv) {{
  {assignments}
  config.kernelType = static_cast<KernelType>(std::atoi(argv[{kernel}]));
  config.quantType = static_cast<QuantType>(std::atoi(argv[{quant}]));
  if (std::atoi(argv[{quant}]) >= 2) {{
    fp8BlockwiseCombineScaleDim = std::atoi(argv[{scales}]);
    fp8BlockwiseCombineScaleTypeSize = sizeof(float);
  }}
  {"".join(f"{name}();" for name in FUNCTIONS)}
}}
"""
    return PRELUDE + enums + helper + config + "EpDispatchCombineConfig config;\n" + state + bodies + main


def cases(release: str, wheel: Path, scratch: Path) -> Iterator[dict[str, Any]]:
    sources = next(path for path in (wheel / "mori").glob("_jit*sources") if path.is_dir())
    header = (sources / f"include/mori/{SUBJECT}.hpp").read_text()
    source = (sources / f"src/{SUBJECT}.cpp").read_text()
    (scratch / "sizes.cpp").write_text(program(header, source))
    subprocess.run(["c++", "-std=c++20", "-w", scratch / "sizes.cpp", "-o", scratch / "sizes"], check=True)
    values = dict(re.findall(r"(\w+) = (\d)", cut(header, "enum KernelType", "};")))
    values |= dict(re.findall(r"(\w+) = (\d)", cut(header, "enum class QuantType", "};")))
    for numbers in SHAPES:
        for kernel, quant in (*((kernel, "none") for kernel in KERNELS), *QUANTISED):
            if kernel not in values or QUANT_TYPES[quant] not in values:
                continue
            arguments = [*numbers[: len(FIELDS)], values[kernel], values[QUANT_TYPES[quant]], numbers[-1]]
            run = subprocess.run([scratch / "sizes", *map(str, arguments)], check=True, capture_output=True, text=True)
            shape: dict[str, int | str] = dict(zip(FIELDS, numbers, strict=False))
            shape |= {"kernel_type": kernel, "quant_type": quant, "combine_scale_dim": numbers[-1]}
            buffers = [line.split() for line in run.stdout.splitlines()]
            yield {
                "release": release,
                "shape": shape,
                "buffers": [(f"{memory} {name}", int(size)) for memory, name, size in buffers],
            }


def main() -> None:
    seen: set[str] = set()
    current: list[str] = []
    for argument in sys.argv[1:]:
        release, _, wheel = argument.partition("=")
        with tempfile.TemporaryDirectory() as scratch:
            found = list(cases(release, Path(wheel), Path(scratch)))
        # Releases of one line give the same numbers; keep the first, so that the file stays small.
        key = json.dumps([[case["shape"], case["buffers"]] for case in found])
        if key in seen:
            print(f"{release}: same as an earlier release, left out", file=sys.stderr)
            continue
        seen.add(key)
        for case in found:
            buffers = case.pop("buffers")
            if [names for names, _ in buffers] != current:
                current = [names for names, _ in buffers]
                print(json.dumps({"buffers": current}, separators=(",", ":")))
            print(json.dumps({"case": case, "bytes": [size for _, size in buffers]}, separators=(",", ":")))


if __name__ == "__main__":
    main()
