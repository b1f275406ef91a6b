"""Benchmarks are run by hand: that they still fit the code they measure is seen here."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in sorted((ROOT / "benchmarks").rglob("*.py"))
    if path.name not in ("__init__.py", "__main__.py")
]


@pytest.mark.parametrize("module", MODULES)
def test_a_benchmark_finds_all_that_it_measures(module: str) -> None:
    assert importlib.import_module(module).__doc__
