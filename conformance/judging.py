# SPDX-License-Identifier: MIT
"""Judges the requirements that a wheel's files decide: lane `survey`.

A judge takes a wheel's facts and says what it found. It is registered under its requirement's id; the catalogue and the
registry must name the same ids.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from conformance.catalogue import Requirement
from conformance.consumers import CONSUMERS, Consumer, accept
from conformance.consumers.acceptance import TYPICAL
from conformance.survey.facts import Guard, WheelFacts
from conformance.traits import unread_libraries
from conformance.verdicts import Evidence, Finding, Record, Verdict
from conformance.wheels import Wheel
from moriep.compatibility import check_mori_compatibility
from moriep.configuration import ModelDescription, configure
from moriep.environment import Environment
from moriep.vocabulary import WeightQuantization

__all__ = ["JUDGES", "Finding", "Surroundings", "judge_survey"]


@dataclass(frozen=True)
class Surroundings:
    """What a judge may look at besides its own wheel: all wheels that were surveyed, in build order."""

    wheels: tuple[Wheel, ...]
    facts: Mapping[str, WheelFacts]

    def stable_before(self, wheel: Wheel) -> Wheel | None:
        """The stable wheel before this one, of the same Python where there is one."""
        earlier = [
            item
            for item in self.wheels
            if not item.nightly and item.order < wheel.order and item.version != wheel.version
        ]
        same = [item for item in earlier if item.python == wheel.python]
        candidates = same or earlier
        return candidates[-1] if candidates else None

    def siblings(self, wheel: Wheel) -> tuple[Wheel, ...]:
        """The wheels of the same version for other Pythons."""
        return tuple(
            item
            for item in self.wheels
            if (item.distribution, item.version) == (wheel.distribution, wheel.version) and item.tag != wheel.tag
        )


Judge = Callable[[Wheel, WheelFacts, Surroundings], Finding]
JUDGES: dict[str, Judge] = {}

# gRPC, Protocol Buffers and Abseil, as the libraries are called in every distribution.
_FOREIGN = re.compile(r"^lib(?:grpc|gpr|protobuf|absl_|address_sorting|upb)")
_NUMBERS = {"IntraNode": 0, "InterNodeV1": 2, "InterNodeV1LL": 3, "AsyncLL": 4}
_UNCAPPED = re.compile(r"^\{ return maxNumInpTokenPerRank; \}$")
_CAPPED = re.compile(
    r"^\{ if \(maxTotalRecvTokens > 0\) \{ int perRank = \(maxTotalRecvTokens \+ worldSize - 1\) / worldSize; "
    r"return perRank < maxNumInpTokenPerRank \? perRank : maxNumInpTokenPerRank; \} return maxNumInpTokenPerRank; \}$"
)
_TOTAL = re.compile(r"^\{ return worldSize \* MaxNumTokensToRecvPerRank\(\); \}$")


def _judge(requirement: str) -> Callable[[Judge], Judge]:
    def register(function: Judge) -> Judge:
        JUDGES[requirement] = function
        return function

    return register


def _passed(message: str, *observed: str) -> Finding:
    return Finding(Verdict.PASS, message, observed)


def _failed(message: str, *observed: str) -> Finding:
    return Finding(Verdict.FAIL, message, observed)


def _unsupported(message: str, *observed: str) -> Finding:
    return Finding(Verdict.UNSUPPORTED, message, observed)


@_judge("PKG-1")
def _identity(wheel: Wheel, facts: WheelFacts, _: Surroundings) -> Finding:
    # The survey refuses any other wheel before there are facts; what is left to check is the version inside.
    inside = facts.package_version
    if inside is None or inside == wheel.version:
        return _passed(
            "the wheel's metadata, its module and its file name agree", f"mori/_version.py: {inside or 'absent'}"
        )
    return _failed(f"mori.__version__ is {inside}, the wheel is {wheel.version}", f"mori/_version.py: {inside}")


@_judge("PKG-2")
def _system_libraries(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    needing = {
        library.path: [name for name in library.needed or () if _FOREIGN.match(name)] for library in facts.libraries
    }
    observed = [f"{path} needs {', '.join(names)}" for path, names in needing.items() if names]
    if observed:
        names = sorted({name for found in needing.values() for name in found})
        shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
        return _failed(f"needs {shown} from the system", *observed)
    if unread_libraries(facts):
        left = [library.path for library in facts.libraries if library.needed is None]
        return Finding(
            Verdict.NOT_RUN,
            "not all libraries were read; `moriep survey --libraries all` reads them",
            tuple(f"not read: {path}" for path in left),
        )
    return _passed("no library needs them")


@_judge("PKG-3")
def _rocm_build(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    if facts.rocm_build is None:
        return _failed("the wheel does not say which ROCm it was built with")
    return _passed(f"built with ROCm {facts.rocm_build}, wants {facts.rocm_pattern}")


@_judge("PKG-4")
def _same_code(wheel: Wheel, facts: WheelFacts, around: Surroundings) -> Finding:
    others = [item for item in around.siblings(wheel) if item.sha256 in around.facts]
    if not others:
        return Finding(Verdict.NOT_APPLICABLE, "no other wheel of this version was surveyed")
    observed: list[str] = []
    for other in others:
        theirs = around.facts[other.sha256]
        methods = _different(facts.method_digests, theirs.method_digests)
        functions = _different(_digests(facts), _digests(theirs))
        observed += [f"{other.label}: EpDispatchCombineOp.{name} differs" for name in methods]
        observed += [f"{other.label}: {name} differs" for name in functions]
    if observed:
        return _failed(
            f"the code differs from {', '.join(item.label for item in others)} in {len(observed)} places", *observed
        )
    return _passed(f"same op and kernel code as {', '.join(item.label for item in others)}")


def _different(ours: Mapping[str, str], theirs: Mapping[str, str]) -> list[str]:
    return sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))


def _digests(facts: WheelFacts) -> dict[str, str]:
    found: dict[str, str] = {}
    for item in facts.kernel_functions:
        name = f"{item.file}: {item.function}"
        found[name] = found.get(name, "") + item.digest
    return found


@contextmanager
def _silenced(name: str) -> Iterator[None]:
    """Without the warnings of a logger: a run over a hundred wheels asks for what each would warn about once."""
    logger = logging.getLogger(name)
    handler, propagate = logging.NullHandler(), logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


@_judge("CFG-1")
def _pruned_arguments(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    model = ModelDescription(
        hidden_size=7168, num_experts=256, num_local_experts=32, top_k=8, weight_quantization=WeightQuantization.FP8
    )
    given = configure(model, Environment.from_mapping({}, world_size=8), rank=0, world_size=8).kwargs()
    kept = dict(given)
    with _silenced("moriep"):
        check_mori_compatibility(kept, surface=facts.surface)
    pruned = [name for name in given if name not in kept]
    missing = [item.name for item in facts.surface.config.fields if item.required and item.name not in kept]
    unknown = [name for name in kept if facts.surface.config.field(name) is None]
    observed = (f"pruned: {', '.join(pruned) or 'nothing'}", f"fields: {', '.join(facts.surface.config.field_names)}")
    if missing or unknown:
        return _failed(
            f"TypeError: missing {', '.join(missing) or 'none'}, unknown {', '.join(unknown) or 'none'}", *observed
        )
    if pruned:
        return _passed(f"accepted after pruning {', '.join(pruned)}", *observed)
    return _passed("accepted as given", *observed)


def _cost_of_no_cap(facts: WheelFacts) -> list[str]:
    """What the release allocates where SGLang asks for a quarter of the worst case, in bytes."""
    sglang = next(item for item in CONSUMERS if item.requirement == "CFG-1")
    found = accept(sglang, facts.surface, replace(TYPICAL, cap=TYPICAL.world_size * TYPICAL.most_tokens // 4))
    return [line for line in found.lost if line.startswith("max_total_recv_tokens=")]


@_judge("CFG-2")
def _cap_field(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    field = facts.surface.config.field("max_total_recv_tokens")
    if field is None:
        return _failed(
            "no field max_total_recv_tokens: the cap is dropped, every rank allocates the worst case",
            f"fields: {', '.join(facts.surface.config.field_names)}",
            *_cost_of_no_cap(facts),
        )
    position = facts.surface.config.field_names.index(field.name) + 1
    return _passed(f"field {position}: {field.name}: {field.annotation} = {field.default}")


@_judge("CFG-3")
def _cap_default(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    field = facts.surface.config.field("max_total_recv_tokens")
    if field is None:
        return _unsupported("no field max_total_recv_tokens")
    if field.default == "0":
        return _passed("defaults to 0")
    return _failed(f"defaults to {field.default}")


@_judge("CFG-4")
def _positions(wheel: Wheel, facts: WheelFacts, around: Surroundings) -> Finding:
    before = around.stable_before(wheel)
    if before is None or before.sha256 not in around.facts:
        return Finding(Verdict.NOT_APPLICABLE, "no stable release before it was surveyed")
    old = around.facts[before.sha256].surface.config.field_names
    new = facts.surface.config.field_names
    moved = [
        f"{name}: {old.index(name) + 1} → {new.index(name) + 1}"
        for name in old
        if name in new and new.index(name) != old.index(name)
    ]
    if moved:
        return _failed(f"{len(moved)} fields moved since {before.label}", *moved)
    return _passed(f"every field of {before.label} is where it was")


def _quant_type(value: str) -> Judge:
    def judge(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
        known = facts.surface.quant_types
        observed = f"quant types: {', '.join(known)}"
        if value in known:
            return _passed(f"takes {value}", observed)
        return _unsupported(f"ValueError: {value} is not among {', '.join(known)}", observed)

    return judge


for _id, _value in (("CFG-5", "fp8_direct_cast"), ("CFG-6", "fp8_blockwise"), ("CFG-7", "fp4_blockwise")):
    _judge(_id)(_quant_type(_value))


@_judge("CFG-8")
def _kernel_types(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    known = facts.surface.kernel_types
    observed = ", ".join(f"{name}={value}" for name, value in known.items())
    wrong = [
        f"{name} should be {number}, is {known.get(name, 'absent')}"
        for name, number in _NUMBERS.items()
        if known.get(name) != number
    ]
    if wrong:
        return _failed("; ".join(wrong), observed)
    return _passed("all there, with their numbers", observed)


def _consumer(consumer: Consumer) -> Judge:
    def judge(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
        found = accept(consumer, facts.surface)
        observed = (f"passes {', '.join(consumer.kwargs(TYPICAL))}", *found.lost)
        return (_passed if found.accepted else _failed)(found.text(), *observed)

    return judge


for _consumed in CONSUMERS:
    if _consumed.requirement != "CFG-1":
        _judge(_consumed.requirement)(_consumer(_consumed))


@_judge("CFG-9")
def _expert_count(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    dispatch = facts.surface.op.method("dispatch")
    if dispatch is not None and dispatch.accepts_keyword("call_local_expert_count"):
        return _passed("dispatch takes it")
    names = ", ".join(item.name for item in dispatch.parameters) if dispatch is not None else "no dispatch"
    return _unsupported("TypeError: dispatch does not take call_local_expert_count", f"dispatch({names})")


@_judge("CAP-1")
def _capacity_formula(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    bodies = {item.function: item.body for item in facts.capacity}
    observed = tuple(f"{name} {body}" for name, body in bodies.items())
    per_rank, total = bodies.get("MaxNumTokensToRecvPerRank", ""), bodies.get("MaxNumTokensToRecv", "")
    if _CAPPED.match(per_rank) and _TOTAL.match(total):
        return _passed("W·min(ceil(T/W), M), and W·M for T = 0", *observed)
    if _UNCAPPED.match(per_rank):
        return _failed("always W·M: the release has no cap", *observed)
    return _failed("the formula is another one than the known", *observed)


@_judge("CAP-2")
def _capacity_accessors(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    wanted = ("max_num_tokens_to_recv", "max_num_tokens_to_recv_per_rank")
    missing = [name for name in wanted if facts.surface.op.method(name) is None]
    if missing:
        return _unsupported(f"the op has no {' and no '.join(missing)}")
    return _passed("the op has both")


def _unguarded_paths(kernel_type: str, guards: Sequence[Guard]) -> list[str]:
    """The inter-node kernels receive on two paths, each of which needs its own assertion."""
    if not kernel_type.startswith("InterNodeV1"):
        return []
    inside = any("IntraNode" in guard.function for guard in guards)
    across = any("InterNode" in guard.function for guard in guards)
    return [path for path, guarded in (("within a node", inside), ("across nodes", across)) if not guarded]


def _overflow(kernel_type: str) -> Judge:
    def judge(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
        if kernel_type not in facts.surface.kernel_types:
            return _unsupported(f"the release has no {kernel_type}")
        if facts.surface.config.field("max_total_recv_tokens") is None:
            return Finding(Verdict.NOT_APPLICABLE, "no cap in this release: the capacity is always the worst case")
        guards = [guard for guard in facts.guards if kernel_type in guard.kernel_types]
        observed = [f"{guard.file}:{guard.line} {guard.function}: {guard.condition}" for guard in guards]
        missing = [] if not guards else _unguarded_paths(kernel_type, guards)
        if missing:
            return _failed(f"{kernel_type} does not assert {' and '.join(missing)}", *observed)
        if not guards:
            return _failed(
                f"no overflow assertion is reachable from the {kernel_type} kernels",
                *(f"{guard.file} has one for {', '.join(guard.kernel_types)}" for guard in facts.guards),
            )
        return _passed(f'asserts "{guards[0].message}"', *observed)

    return judge


for _id, _value in (
    ("OVF-1", "IntraNode"),
    ("OVF-2", "IntraNodeLL"),
    ("OVF-3", "InterNodeV1"),
    ("OVF-4", "InterNodeV1LL"),
    ("OVF-5", "AsyncLL"),
    ("OVF-6", "InterNode"),
):
    _judge(_id)(_overflow(_value))


@_judge("CMB-1")
def _combine_ids(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    combine = facts.surface.op.method("combine")
    raises = combine.raises if combine is not None else ()
    # The check compares rows of `indices` with what this rank dispatched, whether or not a routing handle is given.
    checks = [text for text in raises if "indices" in text and "dispatched" in text]
    if checks:
        return _passed("raises ValueError", *checks)
    return _failed("combine does not look at the number of rows of indices", *(f"raises {text}" for text in raises))


@_judge("RTE-1")
def _routing(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    wanted = (("dispatch", "routing"), ("dispatch", "return_routing"), ("combine", "routing"))
    missing = []
    for name, parameter in wanted:
        method = facts.surface.op.method(name)
        if method is None or not method.accepts_keyword(parameter):
            missing.append(f"{name}({parameter}=)")
    if missing:
        return _unsupported(f"TypeError: no {', '.join(missing)}")
    return _passed("dispatch and combine take a routing handle")


@_judge("LNC-1")
def _launch(_: Wheel, facts: WheelFacts, __: Surroundings) -> Finding:
    own = {name: values for name, values in facts.launch_defaults.items() if "intranode_dispatch" in name}
    observed = [f"{name}: {'; '.join(values)}" for name, values in own.items()]
    if observed:
        return _failed(
            "IntraNode dispatch has a launch default of its own, which comes before the configuration", *observed
        )
    return _passed("no launch default besides the configuration")


def judge_survey(
    requirements: Sequence[Requirement], wheels: Sequence[Wheel], facts: Mapping[str, WheelFacts], around: Surroundings
) -> list[Record]:
    """Every given requirement on every given wheel that has facts, wheel by wheel in build order."""
    records: list[Record] = []
    for wheel in sorted(wheels, key=lambda item: item.order):
        if wheel.sha256 not in facts:
            continue
        for requirement in requirements:
            if "survey" not in requirement.lanes:
                continue
            if requirement.speaks_about(wheel):
                finding = JUDGES[requirement.id](wheel, facts[wheel.sha256], around)
            else:
                finding = Finding(Verdict.NOT_APPLICABLE, f"the requirement speaks about {requirement.versions} only")
            records.append(
                Record(
                    requirement=requirement.id,
                    wheel=wheel.label,
                    sha256=wheel.sha256,
                    lane="survey",
                    verdict=finding.verdict,
                    message=finding.message,
                    evidence=Evidence(
                        command=f"python -m conformance run --wheel {wheel.label} --requirement {requirement.id}",
                        observed=finding.observed,
                    ),
                )
            )
    return records
