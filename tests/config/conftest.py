import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from fleet.config import ConfigError, load_config

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


class Sandbox:
    """A copy of the demonstration's configuration that a test may spoil."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "fleet.yaml"
        shutil.copy(CONFIGS / "fleet.yaml", self.path)
        for name in ("vehicles", "products"):
            shutil.copytree(CONFIGS / name, folder / name)
        (folder / "airspace").mkdir()
        (folder / "airspace" / "valley.ed318.json").write_text('{"type": "FeatureCollection", "features": []}')

    def change(self, edit) -> None:
        """Edits the data; the file is written anew without anchors and comments."""
        yaml = YAML(typ="safe", pure=True)
        data = yaml.load(self.path)
        for box in data["boxes"]:
            box["products"] = list(box["products"])
        edit(data)
        yaml.dump(data, self.path)

    def replace(self, old: str, new: str, count: int = 1) -> None:
        text = self.path.read_text()
        assert text.count(old) >= 1, f"{old!r} is not in the file"
        self.path.write_text(text.replace(old, new, count))

    def line_of(self, text: str) -> int:
        return next(n for n, line in enumerate(self.path.read_text().splitlines(), 1) if text in line)

    def load(self, **env):
        return load_config(self.path, env)

    def problems(self, **env):
        with pytest.raises(ConfigError) as refused:
            self.load(**env)
        return refused.value.problems

    def problem(self, **env):
        found = self.problems(**env)
        assert len(found) == 1, "\n".join(map(str, found))
        return found[0]


@pytest.fixture
def sandbox(tmp_path) -> Sandbox:
    return Sandbox(tmp_path)
