# SPDX-License-Identifier: MIT
"""Runs the round trip for unpacked wheels, release by release, and prints a table: python run_cases.py PYTHON FOLDER...

PYTHON is an interpreter with torch; each FOLDER holds one unpacked wheel and is named after its version. Results go to
standard output as Markdown, and one JSON object for each launch to the file that --json names.
"""

import argparse
import json
import os
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(REPOSITORY))

from virtual_rocm.environment import prepare  # noqa: E402
from virtual_rocm.launcher import run_ranks  # noqa: E402

CASES = {
    2: [
        {"name": "W2 bf16 H64 k1", "hidden": 64, "topk": 1},
        {
            "name": "W2 bf16 H7168 k8, 128 tokens",
            "hidden": 7168,
            "topk": 8,
            "tokens": 128,
            "experts_per_rank": 16,
            "repeats": 3,
        },
        {
            "name": "W2 bf16 H7168 k8 registered",
            "hidden": 7168,
            "topk": 8,
            "tokens": 32,
            "experts_per_rank": 16,
            "external": False,
        },
        {
            "name": "W2 f32 H7168 k9",
            "hidden": 7168,
            "topk": 9,
            "tokens": 16,
            "experts_per_rank": 16,
            "dtype": "float32",
        },
        {"name": "W2 f32 H64 k2 registered", "hidden": 64, "topk": 2, "dtype": "float32", "external": False},
        {
            "name": "W2 bf16 H2048 k9, ragged",
            "hidden": 2048,
            "topk": 9,
            "tokens": [1, 31],
            "experts_per_rank": 16,
        },
    ],
    4: [
        {"name": "W4 bf16 H512 k8", "hidden": 512, "topk": 8, "tokens": 16, "experts_per_rank": 8},
        {
            "name": "W4 f32 H1024 k9 registered",
            "hidden": 1024,
            "topk": 9,
            "tokens": 8,
            "experts_per_rank": 8,
            "dtype": "float32",
            "external": False,
        },
        {
            "name": "W4 bf16 H7168 k8, one rank empty",
            "hidden": 7168,
            "topk": 8,
            "tokens": [8, 0, 16, 3],
            "experts_per_rank": 8,
        },
    ],
    8: [
        {
            "name": "W8 bf16 H256 k8",
            "hidden": 256,
            "topk": 8,
            "tokens": 8,
            "experts_per_rank": 4,
            "blocks": 16,
            "warps": 8,
        },
        {
            "name": "W8 f32 H64 k9 registered",
            "hidden": 64,
            "topk": 9,
            "tokens": 8,
            "experts_per_rank": 4,
            "dtype": "float32",
            "external": False,
            "blocks": 16,
            "warps": 8,
        },
    ],
}

# What only a gfx950 has, of releases from 1.2.2 on.
GFX950_CASES = {
    2: [
        {"name": "W2 bf16 H64 k1", "hidden": 64, "topk": 1},
        {"name": "W2 fp4_blockwise H448 k2", "hidden": 448, "quant_type": "fp4_blockwise"},
        {
            "name": "W2 fp4_blockwise H7168 k8",
            "hidden": 7168,
            "topk": 8,
            "tokens": 16,
            "experts_per_rank": 16,
            "quant_type": "fp4_blockwise",
        },
    ],
}

OVERFLOW = {
    "name": "overflow: 32 tokens for rank 0, capacity 24",
    "hidden": 64,
    "tokens": 16,
    "all_to": 0,
    "max_total_recv_tokens": 24,
}


def settings(folder, python, cache, architecture):
    """What MORI wants to be told on a machine with no GPU."""
    environment = prepare([folder], architecture=architecture).apply_to(
        {name: value for name, value in os.environ.items() if not name.startswith("MORI_")}
        | {"PYTHONPATH": str(folder)}
    )
    return {
        **environment,
        "MORI_DISABLE_TOPO": "1",
        "MORI_GPU_ARCHS": architecture,
        "MORI_SHMEM_HEAP_SIZE": "1G",
        "MORI_DISABLE_ROCM_SDK": "1",
        "MORI_JIT_CACHE_DIR": str(cache),
        # Ranks share this machine's few cores, and torch's own threads would spin on them.
        "OMP_NUM_THREADS": "1",
    }


def launch(python, folder, world, cases, environment, deadline):
    """All cases of one world size in one launch: what the ranks printed, and how they ended."""
    lines = []
    command = [python, str(Path(__file__).with_name("round_trip.py")), json.dumps(cases)]
    result = run_ranks(
        command,
        ranks=world,
        environment=environment,
        deadline=deadline,
        output=lambda rank, _, line: lines.append(f"[{rank}] {line.decode(errors='replace').rstrip()}"),
    )
    observations = [json.loads(line.partition("RESULT ")[2]) for line in lines if "] RESULT {" in line]
    others = [line for line in lines if "] RESULT {" not in line]
    return result, observations, others


def summary(case, world, observations):
    """One cell: pass and times, or what is wrong."""
    mine = [seen for seen in observations if seen["case"].get("name") == case["name"]]
    problems = [problem for seen in mine for problem in seen["problems"]]
    if problems:
        return f"FAIL: {problems[0]}"
    if len(mine) < world:
        return f"no result from {world - len(mine)} of {world} ranks"
    times = {key: max(seen["seconds"].get(key, 0) for seen in mine) for key in mine[0]["seconds"]}
    parts = [
        f"{key} {times[key] * 1e3:.0f}"
        for key in ("dispatch", "combine", "dispatch_warm", "combine_warm")
        if key in times
    ]
    return "pass (" + ", ".join(parts) + " ms)"


# What an overflow is told by: the kernel's own assertion (up to 1.2.2), or the bounds check of the virtual GPU.
TOLD = ("Total recv token overflow", "out-of-bounds access")


def told(lines):
    """The report of an overflow, from its first line on; empty if it went unnoticed."""
    first = next((index for index, line in enumerate(lines) if any(sign in line for sign in TOLD)), len(lines))
    return lines[first:]


def play(name, python, folder, options):
    """The cases on one wheel, printed as rows of a table; whether all went as they must."""
    good = True
    environment = settings(folder.resolve(), python, options.cache.resolve() / name, options.architecture)
    if options.overflow:
        environment["MORI_SHMEM_MODE"] = "ISOLATION"
    worlds = [(int(world), CASES[int(world)]) for world in options.worlds.split(",")]
    if options.overflow:
        worlds = [(2, [OVERFLOW])]
    elif options.architecture == "gfx950":
        worlds = list(GFX950_CASES.items())
    for world, cases in worlds:
        result, observations, others = launch(python, folder, world, cases, environment, options.deadline)
        report = told(others) if options.overflow else others[-30:]
        for case in cases:
            cell = summary(case, world, observations)
            if options.overflow:
                cell = next((sign for sign in TOLD if report and sign in report[0]), f"not noticed: {cell}")
                good &= bool(report)
            else:
                good &= cell.startswith("pass")
            print(f"| {name} | {case['name']} | {cell} |", flush=True)
        if not result.ok:
            print("\n".join(["", "```", *report[:30], *map(str, result.ranks), "```", ""]), flush=True)
        if options.json:
            with options.json.open("a") as file:
                record = {"version": name, "world": world, "ok": result.ok, "seconds": result.seconds}
                file.write(json.dumps(record | {"observations": observations, "output": others[-60:]}) + "\n")
    return good


def add_options(parser):
    parser.add_argument("--worlds", default="2,4,8")
    parser.add_argument("--deadline", type=float, default=600)
    parser.add_argument("--cache", type=Path, default=Path("build") / "wheel-kernels")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--architecture", default="gfx942", choices=("gfx942", "gfx950"), help="gfx950: what only that has"
    )
    parser.add_argument("--overflow", action="store_true", help="the overflow case instead of the round trips")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python")
    parser.add_argument("folders", nargs="+", type=Path)
    add_options(parser)
    options = parser.parse_args()
    results = [play(folder.name, options.python, folder, options) for folder in options.folders]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
