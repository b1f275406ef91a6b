"""Rules of the whole suite: what a skip means, and that no test leaves the machine."""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("explore", derandomize=False, deadline=None, max_examples=1000)
settings.load_profile("steady")
"""The same examples in every run, so that a run means something. `--hypothesis-profile=explore` looks for new ones."""

MAY_SKIP = ("needs a real PX4", "needs the shared data folder", "needs actionlint")
"""reasons that begin so are allowed to skip everywhere: these parts cannot be installed from a package registry"""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With COLDWING_NO_SKIPS set, a skip for any other reason is a failure: the run was meant to be whole."""
    report = yield
    if report.skipped and os.environ.get("COLDWING_NO_SKIPS") and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ") if isinstance(report.longrepr, tuple) else ""
        if not reason.startswith(MAY_SKIP):
            report.outcome = "failed"
            report.longrepr = f"skipped in a run that must be whole: {reason}"
    return report
