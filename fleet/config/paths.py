"""Where the data files are."""

from __future__ import annotations

from pathlib import Path


def data_dir() -> Path:
    """`configs/` beside the packages in a checkout, `coldwing_configs` in an installed distribution."""
    root = Path(__file__).resolve().parents[2]
    checkout = root / "configs"
    return checkout if (root / "pyproject.toml").is_file() else root / "coldwing_configs"
