# SPDX-License-Identifier: MIT
"""Small reports: four wheels, made-up facts, and verdicts as a test wants them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from conformance.catalogue import load_catalogue
from conformance.report import ReportInputs
from conformance.results import Results, new_header
from conformance.survey.facts import Capacity, Guard, KernelFunction, Library, WheelFacts
from conformance.verdicts import Evidence, Record, Verdict
from conformance.wheels import Wheel
from moriep.surface import ClassSurface, Field, Method, Parameter, Surface

__all__ = ["REQUIREMENTS", "WHEELS", "make_facts", "make_inputs"]

REQUIREMENTS = ("PKG-1", "CFG-2", "OVF-1")


def _wheel(distribution: str, version: str, python: str, day: int, month: int = 5) -> Wheel:
    digest = "".join(f"{ord(character):x}" for character in f"{version}{python}").ljust(64, "a")[:64]
    return Wheel(
        distribution, version, f"{python}-{python}-linux_x86_64", digest, 1000, f"2026-{month:02}-{day:02}T00:00:00Z"
    )


WHEELS = (
    _wheel("amd-mori", "1.1.1", "cp310", 1),
    _wheel("amd-mori", "1.1.1", "cp312", 2),
    _wheel("amd-mori-nightly", "1.1.2.dev20260503", "cp310", 3),
    _wheel("amd-mori-nightly", "1.1.2.dev20260504", "cp310", 4),
    _wheel("amd-mori", "1.2.0", "cp310", 9),
    _wheel("amd-mori", "1.2.0", "cp312", 9),
)


def make_facts(wheel: Wheel, text: str = "overflow") -> WheelFacts:
    """Facts in which everything that a page shows occurs, with `text` wherever a wheel has free text."""
    later = wheel.version != "1.1.1"
    fields = [Field("rank", "int"), Field("quant_type", "str", repr(text))]
    if later:
        fields.insert(1, Field("max_total_recv_tokens", "int", "0"))
    dispatch = Method(
        "dispatch",
        (Parameter("input"), Parameter("weights", default=text), Parameter("routing", "keyword_only", default="None")),
        (f"ValueError({text!r})",),
    )
    surface = Surface(
        release=str(wheel),
        config=ClassSurface("EpDispatchCombineConfig", tuple(fields)),
        op=ClassSurface("EpDispatchCombineOp", methods=(dispatch,)),
        config_v2=ClassSurface("EpDispatchCombineConfig", tuple(fields)) if later else None,
        op_v2=ClassSurface("EpDispatchCombineOp", methods=(dispatch,)) if later else None,
        quant_types=("none", text),
        kernel_types={"IntraNode": 0, "AsyncLL": 4},
        exports=("EpDispatchCombineOp",),
    )
    return WheelFacts(
        sha256=wheel.sha256,
        surface=surface,
        package_version=wheel.version,
        rocm_build="7.2.4" if later else None,
        rocm_pattern="7.2.*" if later else None,
        python_variables=("MORI_A",) if later else ("MORI_B",),
        native_variables=(),
        libraries=(Library("mori/a.so", ("libc.so.6", "libgrpc.so.1")), Library("mori/b.so", None)),
        bundled_libraries=(),
        guards=() if later else (Guard("a|b.hpp", "kernel<T>", 7, "a < b || c", text, ("IntraNode",)),),
        device_asserts={"a|b.hpp": 1},
        kernel_functions=(KernelFunction("a|b.hpp", "kernel<T>", wheel.version),),
        capacity=(Capacity("MaxNumTokensToRecv", "{ return a | b; }"),),
        launch_defaults={"_launch": ("(1, 2)",)} if later else {},
        method_digests={"dispatch": wheel.python},
        problems=(text,),
    )


def make_inputs(
    verdict: Callable[[int], Verdict] = lambda _: Verdict.PASS,
    *,
    message: str = "it is so",
    observed: Sequence[str] = ("seen",),
    link: str = "https://github.com/ROCm/mori/pull/532",
    text: str = "overflow",
    lanes: Sequence[str] = ("survey",),
    wheels: Sequence[Wheel] = WHEELS,
) -> ReportInputs:
    """A report in which the n-th record has `verdict(n)`."""
    records: list[Record] = []
    for wheel in wheels:
        for requirement in REQUIREMENTS:
            for lane in lanes:
                command = f"python -m conformance run --wheel {wheel.label} --requirement {requirement}"
                records.append(
                    Record(
                        requirement,
                        wheel.label,
                        wheel.sha256,
                        lane,
                        verdict(len(records)),
                        message,
                        Evidence(command, tuple(observed), seed=7),
                        link,
                    )
                )
    results = Results(new_header(wheels, lanes, REQUIREMENTS, {}), tuple(records))
    requirements = tuple(item for item in load_catalogue() if item.id in REQUIREMENTS)
    return ReportInputs(results, {wheel.sha256: make_facts(wheel, text) for wheel in wheels}, requirements)
