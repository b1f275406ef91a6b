"""Stability profiles read from their files; what is wrong with one is told with its line."""

from __future__ import annotations

from pathlib import Path

from fleet.config.paths import data_dir
from fleet.config.source import SourceError, read_yaml
from missions.coldchain.product import Product, ProfileError, product_from_mapping

PROFILE_SUFFIXES = (".yaml", ".yml")


def read_product(path: Path) -> tuple[Product, bytes]:
    """The profile in a file, and the file's content. Raises SourceError for whatever keeps it from being used."""
    document = read_yaml(path)
    try:
        return product_from_mapping(document.data, str(path)), document.text
    except ProfileError as error:
        _, _, line = document.locate(error.loc)
        fix = error.fix[0].upper() + error.fix[1:]
        raise SourceError(path, line, f"{error.field} {error.problem}", fix) from None


def catalogue(folder: Path | None = None) -> dict[str, Product]:
    """The profiles of a folder by id, those that Coldwing brings along by default. Raises SourceError."""
    folder = data_dir() / "products" if folder is None else folder
    files = sorted(p for p in folder.iterdir() if p.suffix in PROFILE_SUFFIXES)
    return {product.product_id: product for product, _ in map(read_product, files)}
