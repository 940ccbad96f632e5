# SPDX-License-Identifier: MIT
"""Runs a release's dispatch and combine on ranks, and judges what came out.

What a rank executes (`rank_program` and what it imports) needs Python 3.10, torch and numpy, and nothing else of this
project: it runs in the environment of the wheel under test.
"""
