"""Pictures for the person who grades: attention over images, and losses over time. All are PNG."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from grader.kernel.wire import Array


def heatmaps(images: Array, attention: Array) -> bytes:
    """Images (N, 3, size, size) as uint8 above the class token's attention (N, patches) to their patches."""
    figure = Figure(figsize=(1.4 * len(images), 3.0), layout="constrained")
    axes = figure.subplots(2, len(images), squeeze=False)
    side = round(attention.shape[1] ** 0.5)
    for column, (image, weights) in enumerate(zip(images, attention, strict=True)):
        pixels = image.transpose(1, 2, 0)
        extent = (0, pixels.shape[1], pixels.shape[0], 0)
        for row in range(2):
            axes[row, column].imshow(pixels, extent=extent)
            axes[row, column].axis("off")
        axes[1, column].imshow(weights.reshape(side, side), extent=extent, alpha=0.6, cmap="jet")
    return _png(figure)


def losses(
    training: Sequence[float], held_out: Sequence[tuple[int, float]], unigram: float, unit: str = "step"
) -> bytes:
    """The training loss of each step, the held-out loss at some of them, and what word counts alone reach; all in nats."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    smooth = np.convolve(training, np.ones(10) / 10, "valid") if len(training) >= 10 else np.asarray(training)
    axes.plot(np.arange(len(smooth)) + len(training) - len(smooth) + 1, smooth, label="training, mean of 10")
    axes.plot(*zip(*held_out, strict=True), "o-", label="held out")
    axes.axhline(unigram, color="gray", linestyle="--", label="word frequencies alone")
    axes.set_xlabel(unit)
    axes.set_ylabel("loss (nats a token)")
    axes.legend()
    return _png(figure)


def _png(figure: Figure) -> bytes:
    held = io.BytesIO()
    # Without its own name and version in it, equal pictures are equal bytes.
    figure.savefig(held, format="png", dpi=80, metadata={"Software": None})
    return held.getvalue()
