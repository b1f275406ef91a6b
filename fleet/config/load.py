"""Reads `fleet.yaml`, the files it names and the secrets around it; answers with a FleetConfig or every problem."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from copy import deepcopy
from hashlib import sha256
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from fleet.config.build import build
from fleet.config.checks import check
from fleet.config.mavlink_keys import resolve_keys
from fleet.config.models import FleetFile, TerrainModel
from fleet.config.problems import ConfigError, Problem, Problems
from fleet.config.products import PROFILE_SUFFIXES, read_product
from fleet.config.secrets import resolve_secrets
from fleet.config.source import Document, Loc, SourceError, read_yaml
from fleet.config.values import FleetConfig
from fleet.records.codec import canonical_json
from geofences.geoid import GeoidError, find_geoid
from geofences.heights import FlatTerrain, Geoid, Terrain
from geofences.terrain import TerrainError, read_grid, read_tiles
from missions.coldchain.product import Product

AIRSPACE_SUFFIXES = (".json", ".geojson")


def load_config(path: str | Path, env: Mapping[str, str] | None = None) -> FleetConfig:
    """The configuration in `path`, or ConfigError with all problems. `env` is the environment by default."""
    try:
        document = read_yaml(Path(path))
    except SourceError as error:
        raise ConfigError([_source_problem(error)]) from None
    problems = Problems()
    data, unread = _include_vehicle_types(document, problems)
    model = _validate(document, data, unread, problems)
    if model is None:
        problems.raise_if_any()
        raise AssertionError("validation failed without a problem")
    files = _Files(document, problems)
    products = files.products(model.products)
    airspace = files.airspace(model.airspace)
    terrain = files.terrain(model.terrain)
    env = os.environ if env is None else env
    secrets = resolve_secrets(model, document, env, problems)
    mavlink_keys = resolve_keys(model, document, env, problems)
    check(model, document, products, terrain, problems)
    problems.raise_if_any()
    assert terrain is not None, "no terrain, and no problem told"
    config_hash = _hash(document, model, files.read)
    return build(model, document.path, products, airspace, terrain, secrets, mavlink_keys, config_hash)


def _include_vehicle_types(document: Document, problems: Problems) -> tuple[dict[str, Any], set[Loc]]:
    """A copy of the data with the files in the place of their references, and the places whose file is no use."""
    data: dict[str, Any] = deepcopy(document.data)
    unread: set[Loc] = set()
    for i, item in document.items(("vehicle_types",)):
        if "file" not in item:
            continue
        loc: Loc = ("vehicle_types", i)
        if len(item) > 1 or not isinstance(item["file"], str):
            fix = "Give either `file:` with a path, or the type itself"
            problems.add(document, (*loc, "file"), "must be the item's only key", fix)
            unread.add(loc)
            continue
        try:
            document.includes[loc] = read_yaml(document.path.parent / item["file"])
            data["vehicle_types"][i] = document.includes[loc].data
        except SourceError as error:
            problems.add(document, (*loc, "file"), f"names {error.path}, which {error.text}", error.fix)
            unread.add(loc)
    return data, unread


def _validate(document: Document, data: dict[str, Any], unread: set[Loc], problems: Problems) -> FleetFile | None:
    """The model; with what is wrong left out, so that the cross-checks can still look at the rest."""
    bad = set(unread)
    for _ in range(2):
        try:
            # Through JSON, because only there strict means what YAML means: no text for numbers, lists for tuples.
            return FleetFile.model_validate_json(json.dumps(data, default=str))
        except ValidationError as error:
            for details in error.errors(include_url=False):
                loc: Loc = tuple(details["loc"])
                bad.add(loc if details["type"] == "extra_forbidden" else _item(loc))
                if loc[:2] not in unread:
                    problems.add_details(document, FleetFile, details)
            data = _pruned(data, bad)
    return None


def _item(loc: Loc) -> Loc:
    """The list item that holds this place, which is worth nothing without it; or else the place."""
    return loc[: next((n for n, part in enumerate(loc, 1) if isinstance(part, int)), len(loc))]


def _pruned(data: dict[str, Any], bad: set[Loc]) -> dict[str, Any]:
    """The data without these places; the last of a list first, so that the others keep their indices."""
    kept = deepcopy(data)
    for loc in sorted(bad, key=lambda loc: [(isinstance(p, int), p) for p in loc], reverse=True):
        parent: Any = kept
        for part in loc[:-1]:
            parent = parent[part]
        if isinstance(loc[-1], int):
            del parent[loc[-1]]
        else:
            parent.pop(loc[-1], None)
    return kept


class _Files:
    """The files that sections name: their paths, their contents for the hash, and what is wrong with them."""

    def __init__(self, document: Document, problems: Problems) -> None:
        self._document = document
        self._problems = problems
        self.read: list[bytes] = []

    def products(self, names: list[str]) -> dict[str, Product]:
        found: dict[str, Product] = {}
        for i, name in enumerate(names):
            for path in self._expand(("products", i), name, PROFILE_SUFFIXES):
                try:
                    product, text = read_product(path)
                except SourceError as error:
                    self._problems.found.append(_source_problem(error))
                    continue
                if product.product_id in found:
                    twice = f"names a second profile {product.product_id!r}, in {path}"
                    self._problems.add(self._document, ("products", i), twice, "Keep one of them")
                found[product.product_id] = product
                self.read.append(text)
        return found

    def airspace(self, names: list[str]) -> tuple[Path, ...]:
        paths: list[Path] = []
        for i, name in enumerate(names):
            for path in self._expand(("airspace", i), name, AIRSPACE_SUFFIXES):
                try:
                    self.read.append(path.read_bytes())
                except OSError as error:
                    fix = "Check its permissions"
                    self._problems.add(self._document, ("airspace", i), f"{path} cannot be read: {error.strerror}", fix)
                paths.append(path)
        return tuple(paths)

    def terrain(self, given: TerrainModel) -> Terrain | None:
        """The ground; None where what is given cannot be used. Of tiles the hash has the names, not the gigabytes."""
        geoid = self._geoid(given.geoid)
        ways = [key for key in ("flat_amsl_m", "grid", "tiles") if getattr(given, key) is not None]
        if len(ways) > 1:
            text = f"stands beside {ways[0]}, and the ground can only be one of them"
            self._problems.add(self._document, ("terrain", ways[1]), text, "Keep one")
        root = self._document.path.parent
        try:
            if given.grid is not None:
                grid = read_grid(root / given.grid, geoid)
                self.read.append((root / given.grid).read_bytes())
                return grid
            if given.tiles is not None:
                tiles = read_tiles(root / given.tiles, geoid)
                self.read.append(" ".join(path.name for path in tiles.files.values()).encode())
                return tiles
        except TerrainError as error:
            key = "tiles" if given.grid is None else "grid"
            fix = error.fix[0].upper() + error.fix[1:]
            self._problems.add(self._document, ("terrain", key), f"names {error.path}, which {error.text}", fix)
            return None
        return FlatTerrain(given.flat_amsl_m or 0.0, geoid)

    def _geoid(self, name: str | None) -> Geoid | None:
        path = None if name is None else self._document.path.parent / name
        try:
            geoid = find_geoid(path)
        except GeoidError as error:
            fix = "Give a grid of EGM96, such as PROJ's us_nga_egm96_15.tif"
            self._problems.add(self._document, ("terrain", "geoid"), f"cannot be used: {error}", fix)
            return None
        if path is not None:
            self.read.append(path.read_bytes())
        return geoid

    def _expand(self, loc: Loc, name: str, suffixes: tuple[str, ...]) -> list[Path]:
        """The file itself, or a folder's files with these suffixes by name."""
        path = self._document.path.parent / name
        if path.is_file():
            return [path]
        if not path.is_dir():
            self._problems.add(
                self._document, loc, f"{path} does not exist", "Check the path; it is relative to this file"
            )
            return []
        inside = sorted(p for p in path.iterdir() if p.suffix in suffixes)
        if not inside:
            self._problems.add(
                self._document, loc, f"{path} holds no {' or '.join(suffixes)} file", "Name another folder"
            )
        return inside


def _hash(document: Document, model: FleetFile, files: list[bytes]) -> str:
    secret: Any = {
        "api": {"tokens": {"__all__": {"token", "token_file"}}},
        "boxes": {"__all__": {"key", "key_file"}},
        "mqtt": {"url"},
        "vehicles": {"__all__": {"mavlink_key_file"}},
    }
    content = {
        "fleet": model.model_dump(mode="json", exclude=secret),
        "files": [sha256(text).hexdigest() for text in files],
    }
    return sha256(canonical_json(content)).hexdigest()


def _source_problem(error: SourceError) -> Problem:
    return Problem(str(error.path), error.line, "", error.text, error.fix)
