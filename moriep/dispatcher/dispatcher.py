# SPDX-License-Identifier: MIT
"""`MoriEPDispatcher`: what an MoE layer of a framework calls."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from typing import Any

from moriep.compatibility import check_mori_compatibility, installed_surface
from moriep.configuration import (
    GPUS_PER_NODE,
    Configuration,
    ModelDescription,
    configure,
    materialise,
    torch_dtype,
)
from moriep.dispatcher.features import CombineInput, Features, resolve_features
from moriep.dispatcher.groups import GROUP_NAME, compare_over_group, start_shared_memory
from moriep.dispatcher.guard import GuardMode, OverflowGuard, SendCounts, count_sends
from moriep.dispatcher.inputs import InputRules
from moriep.dispatcher.lazy import load_distributed, load_torch
from moriep.dispatcher.operators import CACHE, EnvironmentSnapshot, OperatorCache, OperatorKey
from moriep.dispatcher.outputs import DispatchOutput
from moriep.dispatcher.quantisation import Quantised, quantise
from moriep.dispatcher.received import ReceivedCount
from moriep.dispatcher.stages import Stages
from moriep.environment import Environment
from moriep.errors import ConfigurationError, InputError
from moriep.installation import find_mori
from moriep.surface import Surface
from moriep.vocabulary import DispatchDtype, DType, KernelType

__all__ = ["MoriEPDispatcher"]

logger = logging.getLogger(__name__)
_KERNEL_DTYPES = (DType.BFLOAT16, DType.FLOAT32)


class MoriEPDispatcher:
    """Sends tokens to the ranks of their experts and brings the results back, on whatever release of MORI-EP is installed.

    Making one is a collective over the group: the ranks' settings are compared, MORI's symmetric memory starts with the first
    one, and the op is made unless an equal one is kept.

    A layer calls `dispatch_a`, `dispatch_b`, runs its experts, then `combine_a`, `combine_b`; or `dispatch` and `combine`, which
    do two of them each. In low latency mode the first of each pair launches the send and the second the receive.

    Attributes:
        configuration: the arguments by SGLang's rules. features: what the installed release makes of them.
        guard: the overflow guard. op: MORI's `EpDispatchCombineOp`.
    """

    def __init__(
        self,
        model: ModelDescription,
        group: Any,
        *,
        environment: Mapping[str, str] | None = None,
        low_latency: bool = False,
        architecture: str | None = None,
        chunked_prefill_size: int | None = None,
        gpus_per_node: int = GPUS_PER_NODE,
        guard: GuardMode | str = GuardMode.EXACT,
        combine_input: CombineInput = "auto",
        expert_counts: bool = False,
        check_ids: bool | None = None,
        copy: bool = False,
        allow_degraded: bool = False,
        instance: int = 0,
        device: Any = None,
        cache: OperatorCache | None = None,
        module: Any = None,
        surface: Surface | None = None,
    ) -> None:
        """Make the op.

        Args:
            model: the model.
            group: the expert-parallel process group of torch.distributed, with a backend for host tensors (gloo).
            environment: variables; `os.environ` if None. A change afterwards is an error at the next dispatch.
            low_latency: the AsyncLL kernels, with send and receive apart.
            architecture: of the GPU, `gfx942` for example; asked of torch, then of MORI_GPU_ARCHS, if None.
            chunked_prefill_size: the server's; must fit into one dispatch.
            gpus_per_node: ranks that share a node; more ranks than that use the inter-node kernels.
            guard: exact, free or off, see `moriep.dispatcher.guard`.
            combine_input: external, registered, or auto, see `resolve_features`.
            expert_counts: have dispatch count the rows of each local expert, where the release can.
            check_ids: judge the values of the expert ids before the launch. None: where that waits for nothing, that is for ids
                on the host, and where the exact guard reads them anyway.
            copy: hand out copies and not views of the op's buffers.
            allow_degraded: go on without arguments that the release lacks.
            instance: dispatchers with different numbers never share an op.
            device: of the tensors; the current GPU, or the host where torch sees none, if None.
            cache: of ops; one for the process if None.
            module, surface: the `mori` to use and what it can do; the installed one if None.

        Raises:
            EnvironmentVariableError, ConfigurationError, CapacityError: settings that fit no release.
            CompatibilityError: the installed release cannot do it.
            GroupMismatchError: the ranks' settings differ.
        """
        torch = load_torch()
        distributed = load_distributed()
        if not isinstance(group, distributed.ProcessGroup):
            raise ConfigurationError(
                f"group is {group!r}, not a process group. Remedy: torch.distributed.new_group(...)"
            )
        mapping = os.environ if environment is None else environment
        self._group, self._copy = group, copy
        self._rank, self._world_size = distributed.get_rank(group), distributed.get_world_size(group)
        if model.params_dtype not in _KERNEL_DTYPES:
            raise ConfigurationError(
                f"params_dtype is {model.params_dtype}; MORI-EP has kernels for {' and '.join(_KERNEL_DTYPES)} activations only. "
                "Remedy: bfloat16"
            )
        self._environment = Environment.from_mapping(mapping, self._world_size)
        architecture = architecture or _architecture(torch, mapping)
        self._device = torch.device(device if device is not None else _device(torch))
        self.configuration: Configuration = configure(
            model,
            self._environment,
            rank=self._rank,
            world_size=self._world_size,
            low_latency=low_latency,
            architecture=architecture,
            chunked_prefill_size=chunked_prefill_size,
            gpus_per_node=gpus_per_node,
        )
        self._asynchronous = self.configuration.kernel_type is KernelType.ASYNC_LL
        self._module = module if module is not None else find_mori()
        surface = surface if surface is not None else installed_surface(module)
        self.features: Features = resolve_features(
            self.configuration,
            surface,
            low_latency=low_latency,
            expert_counts=expert_counts,
            combine_input=combine_input,
            combine_scale_dim=int(mapping.get("MORI_FP8_COMBINE_SCALE_DIM", "56")),
            architecture=architecture,
            allow_degraded=allow_degraded,
        )
        self.guard = OverflowGuard(
            _guard_mode(guard),
            self.features.capacity,
            self.configuration.kernel_type,
            self.features.staging,
            self._environment.moe_max_input_tokens,
        )
        self._rules = InputRules(
            hidden=model.hidden_size,
            dtype=torch_dtype(model.params_dtype),
            top_k=model.top_k,
            experts=self._world_size * model.num_local_experts,
            most_tokens=self.configuration.max_num_inp_token_per_rank,
            negative_ids=self.features.negative_ids,
            release=self.features.release,
            device=self._device,
        )
        self._check_ids = check_ids
        self._expert_counts = expert_counts
        self._snapshot = EnvironmentSnapshot(mapping)
        self._start(cache if cache is not None else CACHE, low_latency, instance)
        self._stages = Stages()
        self._received = ReceivedCount()
        self._sent: tuple[Quantised, Any, Any, tuple[int, ...] | None, int] | None = None
        self._output: DispatchOutput | None = None
        self._result: Any = None

    def _start(self, cache: OperatorCache, low_latency: bool, instance: int) -> None:
        arguments = self.features.arguments
        shared = {name: value for name, value in arguments.items() if name != "rank"}
        settings = {
            **shared,
            "release": self.features.release,
            "guard": self.guard.mode,
            "dispatch dtype": self.configuration.dispatch_dtype,
            **{f"variable {name}": value for name, value in self._snapshot.values.items()},
        }
        compare_over_group(settings, self._group)
        start_shared_memory(self._group, self._module)
        distributed = load_distributed()
        key = OperatorKey(
            release=self.features.release,
            group=(GROUP_NAME, *distributed.get_process_group_ranks(self._group)),
            device=str(self._device),
            instance=instance,
            low_latency=low_latency,
            arguments=tuple(sorted((name, str(value)) for name, value in arguments.items())),
            environment=tuple(self._snapshot.values.items()),
        )
        for note in self.features.dropped:
            logger.warning("%s", note)
        self.op = cache.get(key, self._make_op)

    def _make_op(self) -> Any:
        # Nothing is left to remove, unless degrading was allowed; then SGLang's warnings are wanted.
        wanted = dict(self.configuration.kwargs(), use_external_inp_buf=self.features.external_input)
        check_mori_compatibility(wanted, module=self._module)
        ops = self._module.ops
        return ops.EpDispatchCombineOp(ops.EpDispatchCombineConfig(**materialise(wanted, self._module)))

    @property
    def combine_buffer(self) -> Any:
        """The registered buffer, [capacity, hidden], for experts that write their output in place; None with external input."""
        if self.features.external_input:
            return None
        return self.op.get_registered_combine_input_buffer(self._rules.dtype)

    def dispatch_a(
        self, hidden_states: Any, topk_weights: Any, topk_ids: Any, tokens_per_rank: Sequence[int] | None = None
    ) -> None:
        """Judge and quantise; in low latency mode, launch the send.

        Args:
            hidden_states: [tokens, hidden] in the model's dtype; no tokens are allowed.
            topk_weights: [tokens, top_k] float32. topk_ids: [tokens, top_k] int32 global expert ids.
            tokens_per_rank: tokens of every rank in this dispatch, if known: the free guard and RECV_BOUND use it.

        Raises:
            StageError, InputError, EnvironmentChangedError, ReceiveOverflowError: before anything is launched.
        """
        self._stages.require("dispatch_a")
        self._look_at_count()
        counts, bound = self._judge(hidden_states, topk_weights, topk_ids, tokens_per_rank)
        configuration = self.configuration
        if configuration.dispatch_dtype is DispatchDtype.BF16:
            sent = Quantised(hidden_states, None)
        else:
            sent = quantise(hidden_states, configuration.dispatch_dtype, configuration.data_type)
        self._sent = (sent, topk_weights, topk_ids, counts, bound)
        if self._asynchronous:
            self._result = self.op.dispatch_send(sent.payload, topk_weights, sent.scales, topk_ids)
        self._stages.advance("dispatch_a")

    def dispatch_b(self) -> DispatchOutput:
        """Launch dispatch, or in low latency mode its receive, and hand out what arrives.

        Raises:
            StageError: out of order.
        """
        self._stages.require("dispatch_b")
        assert self._sent is not None
        sent, weights, ids, counts, bound = self._sent
        options = {"call_local_expert_count": True} if self._expert_counts else {}
        if self._asynchronous:
            self.op.dispatch_recv(**options)
            result = self._result
        else:
            result = self.op.dispatch(sent.payload, weights, sent.scales, ids, **options)
        self._stages.advance("dispatch_b")
        if self.guard.can_overflow:
            self._received.start(result[4])
        self._output = self._outputs(result, ids, int(ids.shape[0]), counts, bound)
        return self._output

    def dispatch(
        self, hidden_states: Any, topk_weights: Any, topk_ids: Any, tokens_per_rank: Sequence[int] | None = None
    ) -> DispatchOutput:
        """`dispatch_a` and `dispatch_b`."""
        self.dispatch_a(hidden_states, topk_weights, topk_ids, tokens_per_rank)
        return self.dispatch_b()

    def combine_a(self, expert_output: Any) -> None:
        """Launch combine, or in low latency mode its send. The ids are those that were dispatched, as every release wants.

        Args:
            expert_output: [rows, hidden] in the model's dtype, for the rows of the last dispatch.

        Raises:
            StageError, InputError: before anything is launched.
            ReceiveOverflowError: dispatch reported more tokens than its buffer has rows.
        """
        self._stages.require("combine_a")
        output = self._output
        assert output is not None
        self._check_expert_output(expert_output, output)
        self._look_at_count()
        if not self.features.external_input:
            expert_output = self._into_registered(expert_output)
        launch = self.op.combine_send if self._asynchronous else self.op.combine
        self._result = launch(expert_output, None, output.original_topk_ids)
        self._stages.advance("combine_a")

    def combine_b(self) -> Any:
        """The sums for this rank's tokens: [tokens, hidden] in the model's dtype; a view unless `copy`.

        Raises:
            StageError: out of order.
        """
        self._stages.require("combine_b")
        assert self._output is not None
        if self._asynchronous:
            self.op.combine_recv()
        found = self._result[0][: self._output.tokens]
        self._sent, self._output, self._result = None, None, None
        self._stages.advance("combine_b")
        return found.clone() if self._copy else found

    def combine(self, expert_output: Any) -> Any:
        """`combine_a` and `combine_b`."""
        self.combine_a(expert_output)
        return self.combine_b()

    def _judge(
        self, hidden: Any, weights: Any, ids: Any, tokens_per_rank: Sequence[int] | None
    ) -> tuple[tuple[int, ...] | None, int]:
        """(tokens that each rank receives, if counted; the most that this rank can receive)."""
        if self.guard.counts_routing:
            return self._judge_together(hidden, weights, ids, tokens_per_rank)
        tokens = self._judge_alone(hidden, weights, ids, tokens_per_rank)
        if not self.guard.can_overflow and tokens_per_rank is None:
            return None, self.features.capacity.rows
        if self.guard.mode is GuardMode.FREE:
            return None, self.guard.check_free(tokens, tokens_per_rank)
        return None, self.features.capacity.rows if tokens_per_rank is None else sum(tokens_per_rank)

    def _judge_alone(self, hidden: Any, weights: Any, ids: Any, tokens_per_rank: Sequence[int] | None) -> int:
        self._snapshot.check()
        tokens = self._rules.check_tensors(hidden, weights, ids)
        if tokens_per_rank is not None:
            self._check_tokens_per_rank(tokens, tokens_per_rank)
        # On the host, and with the exact guard, reading the ids waits for nothing that would not be waited for anyway.
        wanted = self._check_ids
        if wanted or (wanted is None and (ids.device.type == "cpu" or self.guard.counts_routing)):
            self._rules.check_ids(ids)
        return tokens

    def _judge_together(
        self, hidden: Any, weights: Any, ids: Any, tokens_per_rank: Sequence[int] | None
    ) -> tuple[tuple[int, ...], int]:
        """As `_judge`, with every rank's counts. What is wrong on one rank is raised on all: none is left waiting."""
        torch = load_torch()
        distributed = load_distributed()
        world_size = self._world_size
        problem: Exception | None = None
        mine = [0] * (2 * world_size + 1)
        try:
            self._judge_alone(hidden, weights, ids, tokens_per_rank)
            sends = count_sends(ids, world_size, self.configuration.num_experts_per_rank)
            mine = [0, *sends.tokens, *sends.last]
        except Exception as error:  # whatever it is, the others have to hear of it
            problem, mine[0] = error, 1
        gathered = [torch.empty(len(mine), dtype=torch.int32) for _ in range(world_size)]
        distributed.all_gather(gathered, torch.tensor(mine, dtype=torch.int32), group=self._group)
        if problem is not None:
            raise problem
        rows: list[list[int]] = [item.tolist() for item in gathered]
        bad = [str(rank) for rank, row in enumerate(rows) if row[0]]
        if bad:
            raise InputError(
                f"the input of rank {', '.join(bad)} was refused, see there; this rank's is fine, but a dispatch needs all"
            )
        every = [SendCounts(tuple(row[1 : 1 + world_size]), tuple(row[1 + world_size :])) for row in rows]
        received = self.guard.check_exact(every)
        return received, received[self._rank] if tokens_per_rank is None else sum(tokens_per_rank)

    def _check_tokens_per_rank(self, tokens: int, tokens_per_rank: Sequence[int]) -> None:
        most = self.configuration.max_num_inp_token_per_rank
        if len(tokens_per_rank) != self._world_size or min(tokens_per_rank) < 0 or max(tokens_per_rank) > most:
            raise InputError(
                f"tokens_per_rank is {list(tokens_per_rank)}; {self._world_size} numbers from 0 to {most} are expected"
            )
        if tokens_per_rank[self._rank] != tokens:
            raise InputError(
                f"tokens_per_rank says {tokens_per_rank[self._rank]} tokens for rank {self._rank}, which dispatches {tokens}"
            )

    def _outputs(
        self, result: Any, ids: Any, tokens: int, counts: tuple[int, ...] | None, bound: int
    ) -> DispatchOutput:
        payload, weights, scales, global_ids, received = result[:5]
        capacity = int(payload.shape[0])
        rows = capacity
        if 0 < self._environment.moe_max_input_tokens < rows:
            rows = self._environment.moe_max_input_tokens
        if self._environment.recv_bound:
            rows = min(rows, bound)
        if rows < capacity:
            payload, weights, global_ids = payload[:rows], weights[:rows], global_ids[:rows]
            scales = None if scales is None else scales[:rows]
        if self.configuration.dispatch_dtype is DispatchDtype.BF16:
            scales = None
        expert_counts = self.op.local_expert_count if self._expert_counts else None
        if self._copy:
            payload, weights, global_ids = payload.clone(), weights.clone(), global_ids.clone()
            scales = None if scales is None else scales.clone()
            expert_counts = None if expert_counts is None else expert_counts.clone()
            received = received.clone()
        return DispatchOutput(
            payload, scales, global_ids, weights, received, expert_counts, ids, tokens, rows, capacity, counts
        )

    def _check_expert_output(self, expert_output: Any, output: DispatchOutput) -> None:
        rows = output.rows if output.counts is None else output.counts[self._rank]
        shape = tuple(expert_output.shape)
        if expert_output.dtype is not self._rules.dtype or len(shape) != 2 or shape[1] != self._rules.hidden:
            raise InputError(
                f"expert_output is {list(shape)} {expert_output.dtype}; "
                f"[rows, {self._rules.hidden}] {self._rules.dtype} is expected"
            )
        if shape[0] < rows or shape[0] > output.capacity:
            raise InputError(f"expert_output has {shape[0]} rows; allowed: {rows} … {output.capacity}")
        if not expert_output.is_contiguous():
            raise InputError(
                "expert_output is strided; the kernels read dense rows. Remedy: expert_output.contiguous()"
            )

    def _into_registered(self, expert_output: Any) -> Any:
        buffer = self.combine_buffer
        if buffer.data_ptr() != expert_output.data_ptr():
            buffer[: expert_output.shape[0]].copy_(expert_output)
        return buffer

    def _look_at_count(self) -> None:
        count = self._received.look()
        if count is not None:
            self.guard.check_received(count)


def _guard_mode(value: GuardMode | str) -> GuardMode:
    try:
        return GuardMode(str(value))
    except ValueError as error:
        raise ConfigurationError(f"guard is {value!r}; allowed: {', '.join(GuardMode)}") from error


def _device(torch: Any) -> str:
    return f"cuda:{torch.cuda.current_device()}" if torch.cuda.is_available() else "cpu"


def _architecture(torch: Any, mapping: Mapping[str, str]) -> str:
    """The GPU that fp8 and fp4 are judged by."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_properties(torch.cuda.current_device()).gcnArchName).partition(":")[0]
    return mapping.get("MORI_GPU_ARCHS", "").replace(";", ",").partition(",")[0].strip() or "gfx942"
