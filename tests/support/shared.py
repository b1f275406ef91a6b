"""The shared data folder beside the project: real files that are too large, or not ours, to be in the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"


def needs_shared(folder: str) -> pytest.MarkDecorator:
    """Skips a test, or as `pytestmark` a module, where `../shared/data/FOLDER` is not at hand."""
    reason = f"needs the shared data folder (../shared/data/{folder})"
    return pytest.mark.skipif(not (SHARED_DATA / folder).is_dir(), reason=reason)
