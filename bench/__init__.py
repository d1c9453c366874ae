"""Benchmarks: walnats beside its peers, in one run, as ratios.

`scenarios.py` says what is measured, `contenders` has the programs that are, and `child.py` is
what runs around each of them, in a process and an environment of its own.
"""
