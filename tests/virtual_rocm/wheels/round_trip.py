# SPDX-License-Identifier: MIT
"""One rank of an expert-parallel round trip through an installed amd-mori: dispatch, identity experts, combine.

Run by the launcher with RANK and WORLD_SIZE set; the case is a JSON object in argv[1]; the last line printed is a JSON
object with what was observed. It checks against an expected set of its own: every rank knows every rank's tokens.
"""

import dataclasses
import json
import os
import sys
import time

import torch
import torch.distributed as dist

DEFAULTS = {
    "hidden": 64,
    "tokens": 8,  # of every rank, or a list with one number for each rank
    "capacity": None,  # max_num_inp_token_per_rank
    "experts_per_rank": 4,
    "topk": 2,
    "dtype": "bfloat16",
    "external": True,  # combine's input: a tensor of the caller's, or the registered buffer
    "blocks": 80,
    "warps": 16,
    "kernel_type": "IntraNode",
    "quant_type": "none",
    "max_total_recv_tokens": 0,
    "repeats": 1,
    "all_to": None,  # every token to this rank only
}


def tokens_of(case, rank):
    count = case["tokens"][rank] if isinstance(case["tokens"], list) else case["tokens"]
    world = case["world"]
    generator = torch.Generator().manual_seed(1000 + rank)
    rows = torch.randn(count, case["hidden"], generator=generator).to(getattr(torch, case["dtype"]))
    experts = case["experts_per_rank"] * world
    if case["all_to"] is None:
        ids = [torch.randperm(experts, generator=generator)[: case["topk"]] for _ in range(count)]
    else:
        first = case["all_to"] * case["experts_per_rank"]
        ids = [
            first + torch.randperm(case["experts_per_rank"], generator=generator)[: case["topk"]] for _ in range(count)
        ]
    indices = torch.stack(ids).to(torch.int32) if ids else torch.zeros(0, case["topk"], dtype=torch.int32)
    weights = torch.rand(count, case["topk"], generator=generator)
    return rows, indices, weights


def build_op(case, rank):
    import mori

    ops = mori.ops
    arguments = {
        "data_type": getattr(torch, case["dtype"]),
        "rank": rank,
        "world_size": case["world"],
        "hidden_dim": case["hidden"],
        "scale_dim": 0,
        "scale_type_size": 0,
        "max_token_type_size": getattr(torch, case["dtype"]).itemsize,
        "max_num_inp_token_per_rank": case["capacity"],
        "num_experts_per_rank": case["experts_per_rank"],
        "num_experts_per_token": case["topk"],
        "warp_num_per_block": case["warps"],
        "block_num": case["blocks"],
        "max_total_recv_tokens": case["max_total_recv_tokens"],
        "use_external_inp_buf": case["external"],
        "kernel_type": getattr(ops.EpDispatchCombineKernelType, case["kernel_type"]),
        "gpu_per_node": case["world"],
        "quant_type": case["quant_type"],
    }
    known = {field.name for field in dataclasses.fields(ops.EpDispatchCombineConfig)}
    config = ops.EpDispatchCombineConfig(**{name: value for name, value in arguments.items() if name in known})
    return ops.EpDispatchCombineOp(config)


def check_dispatch(case, rank, op, output, received):
    """Every received row bit-equal to its source, every expected row there once."""
    expected = {}
    for source in range(case["world"]):
        rows, indices, _ = tokens_of(case, source)
        for token in range(len(rows)):
            if (indices[token] // case["experts_per_rank"] == rank).any():
                expected[source, token] = rows[token]
    positions = op.get_dispatch_src_token_pos().cpu()[:received].tolist()
    seen = set()
    problems = []
    for row, position in enumerate(positions):
        if hasattr(op, "decode_send_flat_idx"):
            source, token = (int(part) for part in op.decode_send_flat_idx(position))
        else:
            source, token = divmod(position, case["capacity"])
        if (source, token) in seen:
            problems.append(f"row {row}: token {token} of rank {source} is there twice")
        seen.add((source, token))
        want = expected.get((source, token))
        if want is None:
            problems.append(f"row {row}: token {token} of rank {source} was not for this rank")
        elif not torch.equal(output[row].view(torch.uint8), want.view(torch.uint8)):
            problems.append(f"row {row}: differs from token {token} of rank {source}")
    missing = set(expected) - seen
    if missing:
        problems.append(f"{len(missing)} rows never arrived, the first {sorted(missing)[0]}")
    return len(expected), problems


FP4 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])
# Half-way between two numbers, and whether that goes up: to the one whose code is even.
FP4_HALF_WAY = [(0.25, False), (0.75, True), (1.25, False), (1.75, True), (2.5, False), (3.5, True), (5.0, False)]
SCALE_BLOCKS = 56


def through_fp4(rows):
    """What is left of rows that travel in fp4: in each block divided by its largest over 6, rounded, and multiplied again."""
    size = -(-rows.shape[1] // SCALE_BLOCKS)
    parts = []
    for block in rows.float().split(size, dim=1):
        largest = block.abs().amax(dim=1, keepdim=True)
        # Not `6.0 / largest`: torch takes the reciprocal and multiplies, which rounds twice and moves what lies half-way.
        scaled = block * torch.where(largest > 0, torch.full_like(largest, 6.0) / largest, 0.0)
        codes = sum((scaled.abs() >= at if up else scaled.abs() > at).long() for at, up in FP4_HALF_WAY)
        parts.append(FP4[codes] * scaled.sign() * torch.where(largest > 0, largest / 6.0, 1.0))
    return torch.cat(parts, dim=1)


def check_combine(case, rank, output):
    """Identity experts: what travels of the input, times the number of distinct destination ranks."""
    rows, indices, _ = tokens_of(case, rank)
    if case["quant_type"] == "fp4_blockwise" and len(rows):
        rows = through_fp4(rows)
    copies = torch.tensor(
        [len(set((row // case["experts_per_rank"]).tolist())) for row in indices], dtype=torch.float32
    )
    want = rows.float() * copies[:, None] if len(rows) else rows.float()
    got = output[: len(rows)].cpu().float()
    # One rounding to the type for each addition.
    unit = 2.0**-8 if case["dtype"] == "bfloat16" else 2.0**-23
    error = (got - want).abs()
    bound = want.abs() * unit * copies[:, None] + 1e-30 if len(rows) else want.abs()
    wrong = int((error > bound).sum()) + int(torch.isnan(got).sum())
    return wrong, float(error.max()) if error.numel() else 0.0


def run_case(case, rank):
    """One operator's life; returns what was observed."""
    import mori  # noqa: F401

    most = max(case["tokens"]) if isinstance(case["tokens"], list) else case["tokens"]
    case["capacity"] = case["capacity"] or max(most, 1)
    times = {}
    start = time.perf_counter()

    def lap(name):
        nonlocal start
        now = time.perf_counter()
        times[name] = round(now - start, 4)
        start = now

    op = build_op(case, rank)
    torch.cuda.synchronize()
    dist.barrier()
    lap("construct")
    rows, indices, weights = tokens_of(case, rank)
    device = torch.device("cuda", torch.cuda.current_device())
    rows, indices, weights = rows.to(device), indices.to(device), weights.to(device)
    observed = {"case": case, "rank": rank, "problems": []}
    for repeat in range(case["repeats"]):
        suffix = "" if repeat == 0 else "_warm"
        dist.barrier()
        lap("between")
        output, out_weights, _, _, received_count = op.dispatch(rows, weights, None, indices)[:5]
        torch.cuda.synchronize()
        lap("dispatch" + suffix)
        received = int(received_count[0].item())
        observed["received"] = received
        expected, problems = check_dispatch(case, rank, op, output.cpu(), received)
        observed["expected"] = expected
        observed["problems"] += [f"repeat {repeat}: {problem}" for problem in problems[:5]]
        combine_input = output
        if not case["external"]:
            buffer = op.get_registered_combine_input_buffer(getattr(torch, case["dtype"]))
            buffer[:received, :].copy_(output[:received, :])
            combine_input = buffer
        torch.cuda.synchronize()
        dist.barrier()
        lap("between")
        combined = op.combine(combine_input, out_weights, indices)[0]
        torch.cuda.synchronize()
        lap("combine" + suffix)
        wrong, largest = check_combine(case, rank, combined)
        if wrong:
            observed["problems"].append(f"repeat {repeat}: {wrong} combined values are wrong, by up to {largest}")
        observed["largest_error"] = largest
        lap("between")
    times.pop("between", None)
    observed["seconds"] = times
    dist.barrier()
    return observed


def main():
    rank, world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cases = json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}")
    start = time.perf_counter()
    torch.cuda.set_device(rank % torch.cuda.device_count())
    dist.init_process_group("cpu:gloo,cuda:gloo", rank=rank, world_size=world)
    torch._C._distributed_c10d._register_process_group("default", dist.group.WORLD)
    import mori

    mori.shmem.shmem_torch_process_group_init("default")
    assert mori.shmem.shmem_mype() == rank
    assert mori.shmem.shmem_npes() == world
    initialised = round(time.perf_counter() - start, 4)
    for case in cases if isinstance(cases, list) else [cases]:
        observed = run_case({**DEFAULTS, **case, "world": world}, rank)
        observed["seconds"]["initialise"] = initialised
        print("RESULT " + json.dumps(observed), flush=True)
    mori.shmem.shmem_finalize()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
