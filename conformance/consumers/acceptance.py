# SPDX-License-Identifier: MIT
"""What a release's constructor does with a consumer's arguments, judged from the release's surface alone."""

from __future__ import annotations

from dataclasses import dataclass

from conformance.consumers.profile import Consumer, Deployment
from moriep.consequences import explain
from moriep.surface import Surface

__all__ = ["TYPICAL", "Acceptance", "accept"]

# One node of eight GPUs and a model of DeepSeek-V3's size.
TYPICAL = Deployment(world_size=8, most_tokens=4096, hidden=7168, top_k=8, experts_per_rank=32)


@dataclass(frozen=True)
class Acceptance:
    """Attributes:
    pruned: arguments that the consumer removes before it constructs.
    lost: what is different without each of them.
    errors: what is raised; empty if the constructor takes the rest.
    """

    pruned: tuple[str, ...]
    lost: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def accepted(self) -> bool:
        return not self.errors

    def text(self) -> str:
        """One line."""
        if self.errors:
            return "; ".join(self.errors)
        return f"accepted after pruning {', '.join(self.pruned)}" if self.pruned else "accepted as given"


def accept(consumer: Consumer, surface: Surface, deployment: Deployment = TYPICAL) -> Acceptance:
    """Hold a consumer's arguments against a release."""
    found = explain(consumer.kwargs(deployment), surface)
    names = tuple(item.name for item in found.dropped)
    errors = [f"TypeError: {name} is required and not given" for name in found.missing]
    if names and not consumer.prunes:
        errors.append(f"TypeError: the constructor does not know {', '.join(names)}")
        names = ()
    errors += [f"{item.name}={item.value}: {item.failure}" for item in found.unknown_values]
    errors += [str(item) for item in found.refused]
    lost = tuple(str(item) for item in found.dropped) if consumer.prunes else ()
    return Acceptance(names, lost, tuple(errors))
