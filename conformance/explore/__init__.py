# SPDX-License-Identifier: MIT
"""The space of situations explored, not listed: covering arrays of cases, schedules, shrinking, and what was found.

`dimensions` is the space, `covering` picks situations from it, `playing` plays them on a lane, `known` says what is known to go
wrong, `assessment` judges, `shrinking` makes a failure small, `regressions` keeps it, `page` writes docs/explored.md.
"""
