"""Plots of a class as SVG: static, described in words, in the page's own colors."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from grader.report.pictures.svg import drawing, element, text

_MOST_BINS = 20
_STEPS = (0.25, 0.5, 1.0, 2.0, 2.5, 5.0)


def histogram(values: Sequence[float], most: float, axis: str, *, unit: str = "") -> Markup:
    """How many values fall into each of some round bins from 0 to ``most``; ``axis`` names what is counted."""
    step = _bin_width(most)
    bins = [0] * max(1, math.ceil(most / step - 1e-9))
    for value in values:
        bins[min(max(int(value / step), 0), len(bins) - 1)] += 1
    left, top, height, width = 34.0, 24.0, 150.0, 640.0
    each, highest = width / len(bins), max(1, *bins)
    parts = [element("path", d=f"M{left} {top + height}H{left + width}", class_="rule")]
    for i, count in enumerate(bins):
        x = left + i * each
        if count:
            tall = height * count / highest
            parts.append(element("rect", x=x + 1, y=top + height - tall, width=each - 2, height=tall, class_="bar"))
            parts.append(text(str(count), x + each / 2, top + height - tall - 6, "label"))
        if i % math.ceil(len(bins) / 10) == 0:
            parts.append(text(f"{i * step:g}", x, top + height + 20, "label"))
    parts.append(text(f"{len(bins) * step:g}", left + width, top + height + 20, "label"))
    parts.append(text(axis, left + width / 2, top + height + 42, "label"))
    words = "; ".join(
        f"{i * step:g} to {(i + 1) * step:g}{unit}: {count}" for i, count in enumerate(bins) if count
    )
    return drawing(left + width + 24, top + height + 54, parts, f"{axis}. {words or 'nobody'}")


def _bin_width(most: float) -> float:
    """A round width that gives about `_MOST_BINS` bins."""
    least = max(most, 1e-9) / _MOST_BINS
    power = 10.0 ** math.floor(math.log10(least))
    return next((step * power for step in (*_STEPS, 10.0) if step * power >= least - 1e-12), 10 * power)


def interval(value: float, low: float, high: float) -> Markup:
    """A value with its interval on a scale from -1 to 1, for a cell of a table. The table says the same in numbers."""
    middle, scale = 60.0, 56.0
    parts = [
        element("path", d=f"M{middle - scale:g} 8H{middle + scale:g}M{middle:g} 1V15", class_="rule"),
        element("path", d=f"M{middle + low * scale:.1f} 8H{middle + high * scale:.1f}", class_="whisker"),
        element("circle", cx=middle + value * scale, cy=8, r=3, class_="bar" if low > 0 else "bar lost"),
    ]
    return _small(120, 16, parts)


def spread(counts: Sequence[int]) -> Markup:
    """A few bins as small bars, for a cell of a table."""
    highest = max(1, *counts) if counts else 1
    parts = [
        element("rect", x=i * 14 + 1, y=16 - max(1.5, 15 * count / highest), width=12, height=max(1.5, 15 * count / highest),
                class_="bar" if count else "bar open")
        for i, count in enumerate(counts)
    ]  # fmt: skip
    return _small(14 * max(len(counts), 1), 16, parts)


def share(value: float) -> Markup:
    """A share from 0 to 1 as a bar, for a cell of a table."""
    parts = [
        element("rect", x=0, y=0, width=80, height=6, class_="bar open"),
        element("rect", x=0, y=0, width=80 * min(max(value, 0.0), 1.0), height=6, class_="bar"),
    ]
    return _small(80, 6, parts)


def _small(width: float, height: float, parts: Sequence[Markup]) -> Markup:
    """A drawing that says nothing which does not stand beside it."""
    inner = Markup("").join(parts)
    return element(
        "svg", inner, viewBox=f"0 0 {width:g} {height:g}", width=width, height=height, aria_hidden="true", class_="cell"
    )
