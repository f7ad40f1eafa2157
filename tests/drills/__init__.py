"""Drills: what the product promises under deaths and outages, on a whole stack of real processes.

`make drills` runs them at default settings and prints the figures; `make test` runs the same drills with short settings
(tests/e2e/test_drills.py). One drill is one function in `deaths` or `outages`: it takes a running `Stack`, does harm, and
answers figures, or raises AssertionError with what was not so.

Everything listens on loopback, and a drill only harms processes that its own stack started.
"""
