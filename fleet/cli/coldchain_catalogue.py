"""The catalogue of products as a table, on the terminal and in the documentation."""

from __future__ import annotations

from collections.abc import Iterable

from missions.coldchain.product import Alarm, Product


def catalogue_rows(products: Iterable[Product]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Columns and rows of the catalogue."""
    columns = ("product", "°C", "beyond it, at most", "spoils it", "quarantines it", "mean")
    return columns, [_catalogue_row(p) for p in sorted(products, key=lambda p: p.product_id)]


def catalogue_table(products: Iterable[Product]) -> str:
    """The catalogue as the documentation shows it, in Markdown."""
    listed = sorted(products, key=lambda p: p.product_id)
    columns, rows = catalogue_rows(listed)
    lines = [f"| {' | '.join((*columns, 'source'))} |", f"|{'---|' * (len(columns) + 1)}"]
    for product, row in zip(listed, rows, strict=True):
        name = f"`{product.product_id}`: {product.name}"
        lines.append(f"| {' | '.join((name, *row[1:], ' '.join(product.source.split())))} |")
    return "\n".join(lines)


def _catalogue_row(p: Product) -> tuple[str, ...]:
    beyond = [
        f"{e.name} {_ends(e.lower_c, e.upper_c)}: {'any time' if e.allowed_min is None else _minutes(e.allowed_min)}"
        for e in p.excursions
    ]
    spoils = [alarm_limit(a) for a in p.alarms if a.outcome == "spoiled"]
    spoils += [f"≤ {p.spoiled_at_or_below_c:g} °C".replace("-", "−")] if p.spoiled_at_or_below_c is not None else []
    spoils += [f"≥ {p.spoiled_at_or_above_c:g} °C".replace("-", "−")] if p.spoiled_at_or_above_c is not None else []
    other = [alarm_limit(a) for a in p.alarms if a.outcome == "quarantine"]
    handled = (
        ("light over {:g} lux", p.light_lux_max),
        ("tilt over {:g}°", p.tilt_deg_max),
        ("shock over {:g} g", p.shock_g_max),
        ("humidity over {:g} %", p.rh_pct_max),
    )
    other += [text.format(limit) for text, limit in handled if limit is not None]
    other += [f"{_minutes(p.unagitated_max_min)} without agitation"] if p.unagitated_max_min is not None else []
    mean = "" if p.mkt is None else f"≤ {p.mkt.limit_c:g} °C over {_minutes(60.0 * p.mkt.window_h)}"
    cells = ("; ".join(beyond), "; ".join(spoils), "; ".join(other), mean)
    return p.product_id, _ends(p.lower_c, p.upper_c), *(cell or "–" for cell in cells)


def _ends(lower_c: float, upper_c: float) -> str:
    return f"{lower_c:g} to {upper_c:g}".replace("-", "−")


def alarm_limit(a: Alarm) -> str:
    """`≥ 45 °C for 1 h consecutive`."""
    kind = "consecutive" if a.consecutive else "cumulative"
    lasting = "" if a.minutes == 0.0 else f" for {_minutes(a.minutes)} {kind}"
    return f"{'≥' if a.above else '≤'} {a.threshold_c:g} °C{lasting}".replace("-", "−")


def _minutes(minutes: float) -> str:
    if minutes >= 2880.0 and minutes % 1440.0 == 0.0:
        return f"{minutes / 1440:g} d"
    return f"{minutes / 60:g} h" if minutes >= 60.0 and minutes % 60.0 == 0.0 else f"{minutes:g} min"
