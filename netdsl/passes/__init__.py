"""Rewrites of a checked graph: one to a file. Each keeps meaning, and its result is verified in the tests."""

from __future__ import annotations

from netdsl.passes.inline import inline

__all__ = ["inline"]
