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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from conformance.suite.allocations import compare_allocations
from conformance.suite.calling import config_arguments, landed, prune
from conformance.suite.captured import CAPTURE_REFUSED, CapturedCall
from conformance.suite.cases import Case, case_from_json, make_inputs
from conformance.suite.device import Device, GuardedTensor, find_device, make_dirty, raw_bytes
from conformance.suite.dispatch_tensors import make_tensors, refill_tensors
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
from conformance.suite.waiting import meets, wait_before

__all__ = ["DEVICE_LOST", "main"]

# Exit code of a rank whose device is lost: after a fault nothing that it would see means anything.
DEVICE_LOST = 70
# How torch and HIP tell of a fault, in the text of an exception.
_FAULTS = ("HIP error", "CUDA error", "hipError", "illegal memory access", "AcceleratorError")


# Behind the name of a step: with the second op.
_OTHER = "_other"


# The release does not build the kernel for this GPU; or the call may not be captured.
_NO_FAULTS = ("hipModuleGetFunction(", CAPTURE_REFUSED)


class _Others(Exception):
    """Another rank did not get through a step; there is nothing to go on with."""


@dataclasses.dataclass
class _Current:
    """An op, and what its last dispatch took and gave."""

    op: Any
    outputs: dict[str, Any] = dataclasses.field(default_factory=dict)
    routing: Any = None
    ids: Any = None
    count: Any = None
    sent_weights: Any = None
    received_ids: Any = None
    seen: DispatchObservation | None = None


class _Player:
    """One case on this rank: the op (or two), and what has been seen so far."""

    def __init__(self, case: Case, rank: int, device: Device, progress: Path) -> None:
        self.case, self.rank, self.device, self._progress = case, rank, device, progress
        self.step = "construct"
        self._first = self._second = self._now = _Current(None)
        self._same: tuple[GuardedTensor, ...] = ()
        self._captured: dict[str, CapturedCall] = {}
        self._given: tuple[Any, Any] | None = None
        self.dispatches: list[DispatchObservation] = []
        self.combines: list[CombineObservation] = []
        self.guards: list[GuardedTensor] = []
        self.facts: dict[str, Any] = {}
        self.notes: dict[str, str] = {}
        self.guard: Any = None
        self._arguments: dict[str, Any] = {}

    def say(self, step: str) -> None:
        """Leave a note for whoever finds this rank hanging; be late for the step, if this rank is to be."""
        self.step = step
        self._progress.write_text(f"{self.case.name}: {step}\n", encoding="utf-8")
        wait_before(step, self.rank, self.case.late)

    def construct(self) -> None:
        import mori

        case, ops = self.case, mori.ops
        if case.second_op:
            # Only here: a release without it plays everything else.
            from conformance.suite.second_op import SecondOp

            self._first = self._now = _Current(SecondOp(case, self.rank))
            return
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
            "rdma_block_num": case.rdma_blocks,
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
        self._first = self._now = _Current(ops.EpDispatchCombineOp(config))
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
            owner = self._now.op if hasattr(self._now.op, method) else config
            if hasattr(owner, method):
                self.facts[fact] = int(getattr(owner, method)())
        if any(step.endswith(_OTHER) for _, step in case.steps):
            self._second = _Current(ops.EpDispatchCombineOp(ops.EpDispatchCombineConfig(**given)))

    def _prepare_outputs(self) -> dict[str, Any] | None:
        """Dirty what the last dispatch returned; only when no peer can be writing there."""
        outputs = self._now.outputs
        if not self.case.dirty or not outputs or not self.case.barriers:
            return None
        dist.barrier()
        for tensor in outputs.values():
            make_dirty(tensor)
        self.device.synchronize()
        dist.barrier()
        return {name: raw_bytes(tensor) for name, tensor in outputs.items()}

    def _tensors(self, data: int) -> tuple[GuardedTensor, ...]:
        """What the dispatch is handed: new tensors, or those of the first round where the case keeps to them."""
        if self._same and self.case.captured:
            refill_tensors(self._same, self.case, self.rank, data)
        elif not (self._same and self.case.same_inputs):
            self._same = make_tensors(self.case, self.rank, data, self.device)
            self.guards += self._same
        return self._same

    def _called(self, name: str, data: int, call: Callable[[], Any]) -> Any:
        """Make the call; where the case captures it, only once: from then on, the graph is replayed."""
        if not self.case.captured or data == 0:
            return call()
        if name not in self._captured:
            self._captured[name] = CapturedCall(call, self.device)
        return self._captured[name].replay()

    def dispatch(self, data: int, step: str) -> None:
        case, now = self.case, self._now
        before = self._prepare_outputs()
        given = self._tensors(data)
        payload, weights, ids = given[:3]
        tokens = int(payload.tensor.shape[0])
        scales = given[3].tensor if len(given) > 3 else None
        if scales is None and case.calls is not None and case.calls.scales == "empty":
            scales = torch.empty((tokens, 0), dtype=torch.uint8, device=self.device.name)
        arguments: tuple[Any, ...] = (payload.tensor, weights.tensor, scales, ids.tensor)
        named: dict[str, Any] = {}
        if case.calls is not None:
            arguments += case.calls.dispatch_positional
            named = dict(case.calls.dispatch_keywords)
            if case.calls.dispatch_positional:
                self.notes["dispatch"] = landed(now.op.dispatch, 4, case.calls.dispatch_positional)
        counting: dict[str, Any] = {"call_local_expert_count": True} if case.count_experts else {}
        if step == "dispatch_routing":
            result = now.op.dispatch(*arguments, **named, **counting, return_routing=True)
            now.routing = result[5]
        elif step == "replay":
            result = now.op.dispatch(*arguments, **named, **counting, routing=now.routing)
        elif case.kernel_type == "AsyncLL":

            def both_halves() -> Any:
                sent = now.op.dispatch_send(*arguments, **named)
                self._work_between(payload, weights, ids)
                received_with = case.calls.receive_keywords if case.calls is not None else ()
                now.op.dispatch_recv(**dict(received_with), **counting)
                return sent

            result = self._called("dispatch", data, both_halves)
        else:
            result = self._called("dispatch", data, lambda: now.op.dispatch(*arguments, **named, **counting))
        self.device.synchronize()
        self._restore(payload, weights, ids)
        out, out_weights, out_scales, out_ids, count = result[:5]
        earlier = now.outputs.get("payload")
        now.outputs = {"payload": out, "weights": out_weights, "ids": out_ids}
        if out_scales is not None:
            now.outputs["scales"] = out_scales
        now.ids, now.count, now.sent_weights, now.received_ids = ids.tensor, count, weights.tensor, out_ids
        received = int(count.reshape(-1)[0].item())
        rows = int(out.shape[0])
        now.seen = DispatchObservation(
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
            expert_counts=now.op.local_expert_count.cpu().numpy().astype(np.int32)
            if case.count_experts
            else np.zeros(0, np.int32),
        )
        self.dispatches.append(now.seen)

    def _work_between(self, *sent: GuardedTensor) -> None:
        """What a caller does between the halves: at another time on each rank, on the same stream, inputs in use again."""
        if self.case.overlap:
            time.sleep(0.02 * ((self.rank + len(self.dispatches)) % self.case.world_size))
            for tensor in sent:
                make_dirty(tensor.tensor)
            scratch = torch.ones(256, dtype=torch.float32, device=self.device.name)
            for _ in range(3):
                scratch.mul_(2.0)

    def _restore(self, *sent: GuardedTensor) -> None:
        """Inputs are compared with what they were; and combine is given the ids again."""
        if self.case.overlap:
            for tensor in sent:
                tensor.restore()
            self.device.synchronize()

    def _sources(self, rows: int) -> Any:
        """(source rank, token) of each valid row, by the op's account."""
        op = self._now.op
        if not hasattr(op, "get_dispatch_src_token_pos"):
            return np.zeros((0, 2), np.int32)
        try:
            found = op.get_dispatch_src_token_pos()
        except RuntimeError as error:
            # What arrived is right or wrong without it: a requirement of its own looks for the op's account.
            self.notes[f"positions {len(self.dispatches)}"] = (
                f"get_dispatch_src_token_pos: {type(error).__name__}: {error}"
            )
            return np.zeros((0, 2), np.int32)
        positions = found.cpu().reshape(-1)[:rows].tolist()
        if hasattr(op, "decode_send_flat_idx"):
            pairs = [tuple(int(part) for part in op.decode_send_flat_idx(position)) for position in positions]
        else:
            pairs = [divmod(int(position), self.case.most_tokens) for position in positions]
        return np.array(pairs, dtype=np.int64).astype(np.int32).reshape(len(pairs), 2)

    def combine(self, data: int, step: str) -> None:
        case, now = self.case, self._now
        seen = now.seen
        assert seen is not None
        rows = seen.payload.shape[0]
        valid = max(0, min(seen.count, rows))
        # What is not valid is NaN: whoever reads it shows it.
        computed = np.full((rows, case.width), np.nan, np.float32)
        computed[:valid] = expert_output(
            self.rank,
            numeric(seen.payload[:valid], case.dtype),
            seen.ids[:valid],
            seen.weights[:valid],
            case.experts_per_rank,
            case.combine_dtype,
            factor=case.expert_factor,
        )
        dtype = getattr(torch, case.combine_dtype)
        given = torch.from_numpy(computed).to(dtype).to(self.device.name)
        if not case.external_input:
            buffer = now.op.get_registered_combine_input_buffer(dtype, *([case.width] if case.hidden_in_use else []))
            buffer[:valid, :].copy_(given[:valid, :])
            given = buffer
        new_weights = np.full((rows, case.top_k), np.nan, np.float32)
        new_weights[:valid] = weights_for_combine(self.rank, seen.weights[:valid])
        given_weights = torch.from_numpy(new_weights).to(self.device.name)
        given, given_weights = self._kept(given, given_weights)
        self.device.synchronize()
        if case.barriers and meets("inputs"):
            dist.barrier()
        arguments: tuple[Any, ...] = (given, given_weights, now.ids)
        named: dict[str, Any] = {}
        if case.calls is not None:
            ids = now.received_ids if case.calls.combine_ids == "received" else now.ids
            chosen = {"none": None, "received": given_weights, "own": now.sent_weights}[case.calls.combine_weights]
            arguments = (given, chosen, ids, *case.calls.combine_positional)
            named = dict(case.calls.combine_keywords)
            if case.calls.combine_positional:
                self.notes["combine"] = landed(now.op.combine, 3, case.calls.combine_positional)
        # Late for the call alone: its inputs are there, and every rank knows it.
        wait_before(f"call of {step} of data set {data}", self.rank, case.late)
        if step == "combine_routing":
            out, out_weights = now.op.combine(*arguments, **named, routing=now.routing)[:2]
        elif case.kernel_type == "AsyncLL":

            def both_halves() -> Any:
                sent = now.op.combine_send(*arguments, **named)[:2]
                if case.overlap:
                    self._work_between()
                    make_dirty(given)
                    make_dirty(given_weights)
                now.op.combine_recv()
                return sent

            out, out_weights = self._called("combine", data, both_halves)
        else:
            out, out_weights = self._called("combine", data, lambda: now.op.combine(*arguments, **named)[:2])
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
                count_after=int(now.count.reshape(-1)[0].item()),
            )
        )

    def _kept(self, given: Any, weights: Any) -> tuple[Any, Any]:
        """Combine's input and weights where the graph, if there is one, reads them."""
        if not self.case.captured:
            return given, weights
        if self._given is None:
            self._given = (given, weights)
        elif self._given[0] is not given:
            self._given[0].copy_(given)
            self._given[1].copy_(weights)
        return self._given

    def guarded(self, data: int, step: str) -> None:
        if step == "guarded_dispatch":
            seen = self.guard.dispatch(make_inputs(self.case, self.rank, data), data)
            self.dispatches += [] if seen is None else [seen]
        else:
            combined = self.guard.combine(self.rank, data)
            self.combines += [] if combined is None else [combined]
        self.notes = self.guard.refused

    def _tell_allocations(self, combined: Any, combined_weights: Any) -> None:
        tensors = {f"dispatched {name}": tensor for name, tensor in self._now.outputs.items()}
        tensors["registered combine input"] = self._now.op.get_registered_combine_input_buffer(combined.dtype)
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
        _all_through(meeting=meets("construct"))
        for data, step in self.case.steps:
            self.say(f"{step} of data set {data}")
            self._now = self._second if step.endswith(_OTHER) else self._first
            if step.startswith("guarded"):
                self.guarded(data, step)
            elif "combine" in step:
                self.combine(data, step)
            else:
                self.dispatch(data, step)
            _all_through(meeting=self.case.barriers and meets(step))
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


def _all_through(failed: bool = False, *, meeting: bool = True) -> None:
    """Meet all ranks after a step; if one of them did not get through it, no rank goes on. Nothing if there is no meeting.

    Raises:
        _Others: another rank failed.
    """
    if not meeting:
        return
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
        lost = any(word in text for word in _FAULTS) and not any(word in text for word in _NO_FAULTS)
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
