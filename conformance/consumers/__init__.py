# SPDX-License-Identifier: MIT
"""The frameworks that call MORI-EP: what each passes, how it calls, and what a release does to it.

`profiles` holds the facts, each with its source. `acceptance` judges arguments against a surface, without running anything;
`outcomes` names what became of a situation that ranks played on a release.
"""

from conformance.consumers.acceptance import Acceptance, accept
from conformance.consumers.outcomes import OUTCOMES, consumer_finding, outcome_of
from conformance.consumers.profile import Consumer, Deployment, Situation
from conformance.consumers.profiles import CONSUMERS, SITUATIONS

__all__ = [
    "CONSUMERS",
    "OUTCOMES",
    "SITUATIONS",
    "Acceptance",
    "Consumer",
    "Deployment",
    "Situation",
    "accept",
    "consumer_finding",
    "outcome_of",
]
