"""Benchmarks: walnats beside hand-written nats-py, in one run, as ratios."""
