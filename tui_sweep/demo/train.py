"""Trains a small network to tell three spirals apart, with SGD and momentum. Needs numpy alone.

LR, WIDTH, SEED, EPOCHS and POINTS come from the environment; each epoch is a line on stdout, what
is worth a second look a line on stderr. Exit code 1: the training diverged.
"""

from __future__ import annotations

import math
import os
import sys
import time

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

CLASSES = 3
BATCH = 32
MOMENTUM = 0.9
GUESSING = 1 - 1 / CLASSES
"""The loss of answering 1/3 for each class: what knowing nothing costs."""


def spirals(points: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Points on three noisy arms within about ±1, and for each a row with 1 at its arm: float32, (points, 2)
    and (points, CLASSES).
    """
    arm = rng.integers(CLASSES, size=points)
    radius = np.sqrt(rng.uniform(0.01, 1.0, size=points))
    angle = 2 * math.pi * (1.5 * radius + arm / CLASSES) + rng.normal(0, 0.3, size=points)
    places = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return places.astype(np.float32), np.eye(CLASSES, dtype=np.float32)[arm]


class Network:
    """Two hidden layers of tanh units, and a linear layer that is to answer 1 for the right class, else 0.

    The loss is the squared error: its slope grows with the error, so a step that is too long for the
    width ends in numbers without bound, and not in a network that merely learns nothing.
    """

    def __init__(self, width: int, rng: np.random.Generator) -> None:
        sizes = [2, width, width, CLASSES]
        gains = [6.0, 1.5, 0.5]
        self.weights = [
            rng.normal(0, gain / math.sqrt(fan_in), size=(fan_in, fan_out)).astype(np.float32)
            for gain, fan_in, fan_out in zip(gains, sizes[:-1], sizes[1:], strict=True)
        ]
        self.biases = [np.zeros(size, np.float32) for size in sizes[1:]]
        self.moves = [np.zeros_like(part) for part in (*self.weights, *self.biases)]

    def forward(self, places: Floats) -> tuple[list[Floats], Floats]:
        """What enters each layer, and the answers, shape (points, CLASSES)."""
        inputs = [places]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            inputs.append(np.tanh(inputs[-1] @ weight + bias))
        return inputs, inputs[-1] @ self.weights[-1] + self.biases[-1]

    def step(self, places: Floats, targets: Floats, rate: float) -> float:
        """One step down the gradient of a batch. Returns the batch's mean loss before it."""
        inputs, answers = self.forward(places)
        error = answers - targets
        slope = error / len(targets)
        by_weight: list[Floats] = []
        by_bias: list[Floats] = []
        for layer in (2, 1, 0):
            by_weight.insert(0, inputs[layer].T @ slope)
            by_bias.insert(0, slope.sum(axis=0))
            slope = (slope @ self.weights[layer].T) * (1 - inputs[layer] ** 2)
        parts = (*self.weights, *self.biases)
        for part, move, gradient in zip(parts, self.moves, (*by_weight, *by_bias), strict=True):
            move *= MOMENTUM
            move -= rate * gradient
            part += move
        return float((error**2).sum(axis=1).mean())

    def judge(self, places: Floats, targets: Floats) -> tuple[float, float]:
        """Mean squared error of a point, and the share of right answers."""
        _, answers = self.forward(places)
        right = answers.argmax(axis=1) == targets.argmax(axis=1)
        return float(((answers - targets) ** 2).sum(axis=1).mean()), float(right.mean())


def train(rate: float, width: int, seed: int, epochs: int, points: int) -> int:
    """Trains and prints; returns the exit code."""
    rng = np.random.default_rng(seed)
    places, targets = spirals(points, rng)
    held_out = spirals(points // 4, rng)
    network = Network(width, rng)
    print(f"three spirals: {points} points, lr {rate:g}, width {width}, seed {seed}")
    began, before = time.monotonic(), GUESSING
    loss = accuracy = math.nan
    for epoch in range(1, epochs + 1):
        for batch in np.array_split(rng.permutation(points), max(1, points // BATCH)):
            loss = network.step(places[batch], targets[batch], rate)
            if not loss < 1000 * GUESSING:  # also when it is not a number
                print(f"diverged in epoch {epoch}: the loss is {loss:.3g}", file=sys.stderr)
                print(f"lr {rate:g} is too much for width {width}: take a smaller one", file=sys.stderr)
                return 1
        loss, accuracy = network.judge(places, targets)
        print(f"epoch {epoch}/{epochs} loss {loss:.3f} acc {accuracy:.3f}")
        if loss > 1.2 * before:
            print(f"warning: epoch {epoch}: the loss rose from {before:.3f} to {loss:.3f}", file=sys.stderr)
        before = loss
    _, val_accuracy = network.judge(*held_out)
    seconds = time.monotonic() - began
    print(f"done loss {loss:.3f} acc {accuracy:.3f} val_acc {val_accuracy:.3f} ({seconds:.1f} s)")
    return 0


def main() -> int:
    """Reads what to do from the environment."""
    with np.errstate(all="ignore"):  # a run that diverges overflows; it is told in words, once
        return train(
            rate=float(os.environ.get("LR", "0.03")),
            width=int(os.environ.get("WIDTH", "64")),
            seed=int(os.environ.get("SEED", "0")),
            epochs=int(os.environ.get("EPOCHS", "12")),
            points=int(os.environ.get("POINTS", "70000")),
        )


if __name__ == "__main__":
    sys.exit(main())
