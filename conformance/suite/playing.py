# SPDX-License-Identifier: MIT
"""Plays cases on one rank, through the installed `mori`."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import os
import time
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from conformance.suite.allocations import compare_allocations
from conformance.suite.calling import config_arguments, landed, prune
from conformance.suite.cases import Case, Inputs, case_from_json, make_inputs
from conformance.suite.device import Device, GuardedTensor, find_device, make_dirty, raw_bytes
from conformance.suite.encoding import numeric
from conformance.suite.experts import expert_output, weights_for_combine
from conformance.suite.observations import (
    FAILED_HERE,
    CombineObservation,
    DispatchObservation,
    GuardObservation,
    Observation,
    observation_name,
    progress_name,
    write_observation,
)

__all__ = ["DEVICE_LOST", "main"]

# Exit code of a rank whose device is lost: after a fault nothing that it would see means anything.
DEVICE_LOST = 70
# How torch and HIP tell of a fault, in the text of an exception.
_FAULTS = ("HIP error", "CUDA error", "hipError", "illegal memory access", "AcceleratorError")


class _Others(Exception):
    """Another rank did not get through a step; there is nothing to go on with."""


class _Player:
    """One case on this rank: the op, and what has been seen so far."""

    def __init__(self, case: Case, rank: int, device: Device, progress: Path) -> None:
        self.case, self.rank, self.device, self._progress = case, rank, device, progress
        self.step = "construct"
        self.dispatches: list[DispatchObservation] = []
        self.combines: list[CombineObservation] = []
        self.guards: list[GuardedTensor] = []
        self.outputs: dict[str, Any] = {}
        self.facts: dict[str, Any] = {}
        self.notes: dict[str, str] = {}
        self.op: Any = None
        self.guard: Any = None
        self.routing: Any = None
        self._inputs: Inputs | None = None
        self._ids: Any = None
        self._count: Any = None
        self._arguments: dict[str, Any] = {}
        self._sent_weights: Any = None
        self._received_ids: Any = None

    def say(self, step: str) -> None:
        """Leave a note for whoever finds this rank hanging."""
        self.step = step
        self._progress.write_text(f"{self.case.name}: {step}\n", encoding="utf-8")

    def construct(self) -> None:
        import mori

        case, ops = self.case, mori.ops
        dtype = getattr(torch, case.dtype)
        wanted: dict[str, Any] = {
            "data_type": dtype,
            "rank": self.rank,
            "world_size": case.world_size,
            "hidden_dim": case.hidden,
            "scale_dim": case.scale_dim,
            "scale_type_size": case.scale_type_size,
            "max_token_type_size": max(dtype.itemsize, getattr(torch, case.combine_dtype).itemsize),
            "max_num_inp_token_per_rank": case.most_tokens,
            "num_experts_per_rank": case.experts_per_rank,
            "num_experts_per_token": case.top_k,
            "warp_num_per_block": case.warps_per_block,
            "block_num": case.block_num,
            "use_external_inp_buf": case.external_input,
            "kernel_type": getattr(ops.EpDispatchCombineKernelType, case.kernel_type),
            "gpu_per_node": case.gpus_per_node or case.world_size,
            "quant_type": case.quant_type,
        }
        if case.cap is not None:
            wanted["max_total_recv_tokens"] = case.cap
        known = {field.name for field in dataclasses.fields(ops.EpDispatchCombineConfig)}
        given = {name: value for name, value in wanted.items() if name in known}
        if case.calls is not None:
            given = wanted = config_arguments(case.calls, self.rank, ops)
            if case.calls.prunes:
                given, self.notes = prune(wanted)
        self._arguments = {name: value for name, value in given.items() if name != "data_type"}
        self.facts["pruned"] = tuple(name for name in wanted if name not in given)
        config = ops.EpDispatchCombineConfig(**given)
        if not case.steps:
            # Memory is what this case is about, and the first op pays for what is loaded once.
            op = ops.EpDispatchCombineOp(config)
            self.device.synchronize()
            del op
            gc.collect()
            dist.barrier()
        before = self.device.memory_in_use()
        self.op = ops.EpDispatchCombineOp(config)
        self.device.synchronize()
        self.facts["memory"] = (before, self.device.memory_in_use())
        # After the op was made: it keeps this very object.
        self.facts["kept"] = tuple(
            f"{name} is {getattr(config, name)!r}, {value!r} was passed"
            for name, value in given.items()
            if getattr(config, name) != value
        )
        for fact, method in (
            ("capacity", "max_num_tokens_to_recv"),
            ("capacity_per_rank", "max_num_tokens_to_recv_per_rank"),
        ):
            owner = self.op if hasattr(self.op, method) else config
            if hasattr(owner, method):
                self.facts[fact] = int(getattr(owner, method)())

    def _prepare_outputs(self, same_step_before: bool) -> dict[str, Any] | None:
        """Dirty what the last dispatch returned; only when no peer can be writing there."""
        if not self.case.dirty or not self.outputs or not same_step_before:
            return None
        dist.barrier()
        for tensor in self.outputs.values():
            make_dirty(tensor)
        self.device.synchronize()
        dist.barrier()
        return {name: raw_bytes(tensor) for name, tensor in self.outputs.items()}

    def dispatch(self, data: int, step: str) -> None:
        case, inputs = self.case, make_inputs(self.case, self.rank, data)
        before = self._prepare_outputs(bool(self.outputs))
        tokens = inputs.tokens
        payload = GuardedTensor(f"payload {data}", inputs.payload, getattr(torch, case.dtype), case.hidden, self.device)
        weights = GuardedTensor(
            f"weights {data}",
            inputs.weights.view(np.uint8).reshape(tokens, -1) if tokens else np.zeros((0, 0), np.uint8),
            torch.float32,
            case.top_k,
            self.device,
        )
        ids = GuardedTensor(
            f"ids {data}",
            inputs.ids.view(np.uint8).reshape(tokens, -1) if tokens else np.zeros((0, 0), np.uint8),
            torch.int32,
            case.top_k,
            self.device,
        )
        self.guards += [payload, weights, ids]
        scales = None
        if case.scale_bytes:
            kind = {1: torch.uint8, 4: torch.float32}[case.scale_type_size]
            guarded = GuardedTensor(f"scales {data}", inputs.scales, kind, case.scale_dim, self.device)
            self.guards.append(guarded)
            scales = guarded.tensor
        elif case.calls is not None and case.calls.scales == "empty":
            scales = torch.empty((tokens, 0), dtype=torch.uint8, device=self.device.name)
        arguments: tuple[Any, ...] = (payload.tensor, weights.tensor, scales, ids.tensor)
        named: dict[str, Any] = {}
        if case.calls is not None:
            arguments += case.calls.dispatch_positional
            named = dict(case.calls.dispatch_keywords)
            if case.calls.dispatch_positional:
                self.notes["dispatch"] = landed(self.op.dispatch, 4, case.calls.dispatch_positional)
        if case.kernel_type == "AsyncLL":
            result = self.op.dispatch_send(*arguments, **named)
            self.op.dispatch_recv(**dict(case.calls.receive_keywords if case.calls is not None else ()))
        elif step == "dispatch_routing":
            result = self.op.dispatch(*arguments, **named, return_routing=True)
            self.routing = result[5]
        elif step == "replay":
            result = self.op.dispatch(*arguments, **named, routing=self.routing)
        else:
            result = self.op.dispatch(*arguments, **named)
        self.device.synchronize()
        out, out_weights, out_scales, out_ids, count = result[:5]
        earlier = self.outputs.get("payload")
        self.outputs = {"payload": out, "weights": out_weights, "ids": out_ids}
        if out_scales is not None:
            self.outputs["scales"] = out_scales
        self._inputs, self._ids, self._count = inputs, ids.tensor, count
        self._sent_weights, self._received_ids = weights.tensor, out_ids
        received = int(count.reshape(-1)[0].item())
        rows = int(out.shape[0])
        self.dispatches.append(
            DispatchObservation(
                data=data,
                step=step,
                count=received,
                payload=raw_bytes(out),
                weights=raw_bytes(out_weights).view(np.float32),
                ids=raw_bytes(out_ids).view(np.int32),
                scales=raw_bytes(out_scales) if out_scales is not None else np.zeros((rows, 0), np.uint8),
                sources=self._sources(max(0, min(received, rows))),
                before=before,
                same_objects=None if earlier is None else earlier is out,
            )
        )

    def _sources(self, rows: int) -> Any:
        """(source rank, token) of each valid row, by the op's account."""
        if not hasattr(self.op, "get_dispatch_src_token_pos"):
            return np.zeros((0, 2), np.int32)
        positions = self.op.get_dispatch_src_token_pos().cpu().reshape(-1)[:rows].tolist()
        if hasattr(self.op, "decode_send_flat_idx"):
            pairs = [tuple(int(part) for part in self.op.decode_send_flat_idx(position)) for position in positions]
        else:
            pairs = [divmod(int(position), self.case.most_tokens) for position in positions]
        return np.array(pairs, dtype=np.int64).astype(np.int32).reshape(len(pairs), 2)

    def combine(self, data: int, step: str) -> None:
        case, seen = self.case, self.dispatches[-1]
        rows = seen.payload.shape[0]
        valid = max(0, min(seen.count, rows))
        # What is not valid is NaN: whoever reads it shows it.
        computed = np.full((rows, case.hidden), np.nan, np.float32)
        computed[:valid] = expert_output(
            self.rank,
            numeric(seen.payload[:valid], case.dtype),
            seen.ids[:valid],
            seen.weights[:valid],
            case.experts_per_rank,
            case.combine_dtype,
        )
        dtype = getattr(torch, case.combine_dtype)
        given = torch.from_numpy(computed).to(dtype).to(self.device.name)
        if not case.external_input:
            buffer = self.op.get_registered_combine_input_buffer(dtype)
            buffer[:valid, :].copy_(given[:valid, :])
            given = buffer
        new_weights = np.full((rows, case.top_k), np.nan, np.float32)
        new_weights[:valid] = weights_for_combine(self.rank, seen.weights[:valid])
        given_weights = torch.from_numpy(new_weights).to(self.device.name)
        self.device.synchronize()
        dist.barrier()
        arguments: tuple[Any, ...] = (given, given_weights, self._ids)
        named: dict[str, Any] = {}
        if case.calls is not None:
            ids = self._received_ids if case.calls.combine_ids == "received" else self._ids
            chosen = {"none": None, "received": given_weights, "own": self._sent_weights}[case.calls.combine_weights]
            arguments = (given, chosen, ids, *case.calls.combine_positional)
            named = dict(case.calls.combine_keywords)
            if case.calls.combine_positional:
                self.notes["combine"] = landed(self.op.combine, 3, case.calls.combine_positional)
        if case.kernel_type == "AsyncLL":
            out, out_weights = self.op.combine_send(*arguments, **named)[:2]
            self.op.combine_recv()
        elif step == "combine_routing":
            out, out_weights = self.op.combine(*arguments, **named, routing=self.routing)[:2]
        else:
            out, out_weights = self.op.combine(*arguments, **named)[:2]
        self.device.synchronize()
        if case.allocations:
            self._tell_allocations(out, out_weights)
        self.combines.append(
            CombineObservation(
                data=data,
                step=step,
                rows=out.detach().cpu().float().numpy().copy(),
                weights=raw_bytes(out_weights).view(np.float32)
                if out_weights is not None
                else np.zeros((0, case.top_k), np.float32),
                count_after=int(self._count.reshape(-1)[0].item()),
            )
        )

    def guarded(self, data: int, step: str) -> None:
        if step == "guarded_dispatch":
            seen = self.guard.dispatch(make_inputs(self.case, self.rank, data), data)
            self.dispatches += [] if seen is None else [seen]
        else:
            combined = self.guard.combine(self.rank, data)
            self.combines += [] if combined is None else [combined]
        self.notes = self.guard.refused

    def _tell_allocations(self, combined: Any, combined_weights: Any) -> None:
        tensors = {f"dispatched {name}": tensor for name, tensor in self.outputs.items()}
        tensors["registered combine input"] = self.op.get_registered_combine_input_buffer(combined.dtype)
        tensors["combined payload"] = combined
        if combined_weights is not None:
            tensors["combined weights"] = combined_weights
        self.notes["allocations"] = compare_allocations(tensors, self._arguments)

    def play(self) -> None:
        self.say("construct")
        if self.case.play == "guarded":
            # Only here: an environment without moriep plays everything else.
            from conformance.suite.guarding import GuardedCase

            self.guard = GuardedCase(self.case, self.device)
        else:
            self.construct()
        _all_through()
        for data, step in self.case.steps:
            self.say(f"{step} of data set {data}")
            if step.startswith("guarded"):
                self.guarded(data, step)
            elif "combine" in step:
                self.combine(data, step)
            else:
                self.dispatch(data, step)
            _all_through()
        self.say("done")

    def observation(self, outcome: str, message: str, seconds: float) -> Observation:
        guards: tuple[GuardObservation, ...] = ()
        if outcome != "device_error":
            guards = tuple(guard.observe() for guard in self.guards)
        return Observation(
            case=self.case.name,
            rank=self.rank,
            outcome=outcome,
            message=message,
            step=self.step if outcome != "finished" else "",
            seconds=round(seconds, 3),
            dispatches=tuple(self.dispatches),
            combines=tuple(self.combines),
            guards=guards,
            notes=self.notes,
            **self.facts,
        )


def _all_through(failed: bool = False) -> None:
    """Meet all ranks after a step; if one of them did not get through it, no rank goes on.

    Raises:
        _Others: another rank failed.
    """
    flag = torch.tensor([int(failed)], dtype=torch.int32)
    dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    if int(flag[0]) and not failed:
        raise _Others


def _play(case: Case, rank: int, device: Device, folder: Path) -> Observation:
    player = _Player(case, rank, device, folder / progress_name(rank))
    start = time.perf_counter()
    outcome, message = "finished", ""
    try:
        player.play()
    except _Others:
        outcome, message = "stopped", "another rank did not get through this step"
    except Exception as error:
        text = "".join(traceback.format_exception_only(type(error), error)).strip()
        lost = any(word in text for word in _FAULTS)
        where = traceback.extract_tb(error.__traceback__)[-1]
        outcome = "device_error" if lost else "refused"
        message = f"{text} (in {where.name}, {Path(where.filename).name}:{where.lineno})"
        step = player.step
        player.say(f"{step}{FAILED_HERE}{message}")
        player.step = step
        if not lost:
            # Others may be waiting in a kernel, for ever: what this rank saw is then known from its note alone.
            _all_through(failed=True)
    return player.observation(outcome, message, time.perf_counter() - start)


def _start(rank: int, world_size: int) -> Any:
    """The process group on the host, and MORI's symmetric memory over it."""
    backend = "cpu:gloo,cuda:gloo" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, rank=rank, world_size=world_size)
    torch._C._distributed_c10d._register_process_group("default", dist.group.WORLD)
    import mori

    mori.shmem.shmem_torch_process_group_init("default")
    if mori.shmem.shmem_mype() != rank or mori.shmem.shmem_npes() != world_size:
        raise RuntimeError(f"shmem says rank {mori.shmem.shmem_mype()} of {mori.shmem.shmem_npes()}")
    return mori


def main(jobs: Path, folder: Path, rank: int, world_size: int) -> int:
    """Play all jobs of the file; returns the exit code.

    A job is {"case": …, "variables": {…}}: the variables are set for that job only.
    """
    (folder / progress_name(rank)).write_text("start\n", encoding="utf-8")
    device = find_device(rank)
    mori = _start(rank, world_size)
    for number, job in enumerate(json.loads(jobs.read_text(encoding="utf-8"))):
        target = folder / observation_name(job.get("number", number), rank)
        with _variables(job["variables"]):
            observation = _play(case_from_json(json.dumps(job["case"])), rank, device, folder)
        write_observation(observation, target)
        if observation.outcome == "device_error":
            # No clean-up: it would touch the device.
            os._exit(DEVICE_LOST)
        gc.collect()
        dist.barrier()
    (folder / progress_name(rank)).write_text("end\n", encoding="utf-8")
    mori.shmem.shmem_finalize()
    dist.destroy_process_group()
    return 0


@contextlib.contextmanager
def _variables(values: dict[str, str]) -> Any:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
