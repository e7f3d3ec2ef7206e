"""The network in PyTorch, and how it is fitted: one thread, one seed, the newest rows say when to stop.

It imports PyTorch, which the extra `neural` installs. `transformer_graph` writes the same arithmetic down for
serving; weights have the same names in both.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pennant.training.losses import Floats
from pennant.training.members.base import Parameters
from pennant.training.members.transformer_graph import EPSILON, NOWHERE, Shape
from pennant.training.members.transformer_layout import Layout

log = logging.getLogger(__name__)

Weights = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]
"""From the network's last numbers (n, outputs) and labels to losses (n,)."""
TAIL_SHARE = 0.12
"""So many of the rows, the newest, are held back to say after how many epochs to stop."""
PATIENCE = 6
"""Epochs without a better loss on them, then it ends."""
LONGEST_STEP = 1.0
"""Gradients are clipped to this norm."""
ROWS_AT_ONCE = 8192


@dataclass(frozen=True)
class Rows:
    """What is fitted, the oldest row first.

    Attributes:
        values: scaled columns, 0 where missing, (n, columns).
        gaps: 1 where missing, (n, columns).
        label: as the loss takes it, (n, ...).
        weight: (n,).
    """

    values: Tensor
    gaps: Tensor
    label: Tensor
    weight: Tensor

    @classmethod
    def of(cls, values: Floats, label: Floats, weight: Floats) -> "Rows":
        """From arrays with NaN where missing."""
        missing = np.isnan(values)
        filled = torch.from_numpy(np.where(missing, 0.0, values).astype(np.float32))
        gaps = torch.from_numpy(missing.astype(np.float32))
        return cls(filled, gaps, *(torch.from_numpy(each.astype(np.float32)) for each in (label, weight)))

    def __len__(self) -> int:
        return len(self.values)

    def some(self, at: Tensor | slice) -> "Rows":
        return Rows(self.values[at], self.gaps[at], self.label[at], self.weight[at])

    def mirrored(self, signs: Tensor, stream: torch.Generator) -> "Rows":
        """Half of the rows in a mirror: their columns by `signs`, the left of their labels turned round."""
        flip = torch.where(torch.rand(len(self), generator=stream) < 0.5, -1.0, 1.0)[:, None]
        values = torch.where(signs < 0, self.values * flip, self.values)
        label = self.label.clone()
        label[..., 1::2] *= flip
        return Rows(values, self.gaps, label, self.weight)


@dataclass(frozen=True)
class Network:
    """A transformer to be: which columns it sees, its sizes, and what it is to lessen."""

    layout: Layout
    shape: Shape
    loss: Loss

    def fresh(self, bias: Floats, stream: torch.Generator) -> Weights:
        """Weights before any row is seen: the prediction is `bias`, whatever the features."""
        events, width = self.layout.events.shape
        dim, deep = self.shape.dim, (2 * self.shape.layers) ** -0.5

        def drawn(rows: int, columns: int, scale: float = 1.0) -> Tensor:
            return torch.randn(rows, columns, generator=stream) * scale * max(rows, 1) ** -0.5

        def seen(columns: int) -> Tensor:
            # A gap that no row has must change nothing in the one that has it first.
            return torch.cat([drawn(columns, dim), torch.zeros(columns, dim)])

        made = {
            "event.weight": seen(width),
            "event.place": drawn(events, dim) * events**0.5 * 0.1,
            "rest.weight": seen(len(self.layout.rest)),
            "rest.bias": torch.zeros(dim),
        }
        for number in range(self.shape.layers):
            for name, rows, columns, scale in (
                ("attend", dim, 3 * dim, 1.0),
                ("gather", dim, dim, deep),
                ("widen", dim, 4 * dim, 1.0),
                ("narrow", 4 * dim, dim, deep),
            ):
                made[f"{number}.{name}.weight"] = drawn(rows, columns, scale)
                made[f"{number}.{name}.bias"] = torch.zeros(columns)
            for name in ("attend", "widen"):
                made[f"{number}.{name}.scale"] = torch.ones(dim)
                made[f"{number}.{name}.shift"] = torch.zeros(dim)
        made |= {"head.scale": torch.ones(dim), "head.shift": torch.zeros(dim)}
        made |= {"head.weight": torch.zeros(dim, len(bias)), "head.bias": torch.from_numpy(bias).float()}
        return made

    def forward(self, rows: Rows, weights: Weights, dropout: float = 0.0) -> Tensor:
        """The last numbers, shape (n, outputs)."""
        events = torch.from_numpy(self.layout.events)
        gaps = rows.gaps[:, events]
        seen = torch.cat([rows.values[:, events], gaps], dim=-1) @ weights["event.weight"]
        rest = torch.from_numpy(self.layout.rest)
        others = torch.cat([rows.values[:, rest], rows.gaps[:, rest]], dim=-1) @ weights["rest.weight"]
        tokens = torch.cat([(others + weights["rest.bias"])[:, None], seen + weights["event.place"]], dim=1)
        absent = functional.pad(gaps.amin(dim=2) * NOWHERE, (1, 0))[:, None, None]
        for number in range(self.shape.layers):
            tokens = self._layer(tokens, absent, weights, f"{number}.", dropout)
        return _linear(_normal(tokens[:, 0], weights, "head."), weights, "head.")

    def _layer(self, tokens: Tensor, absent: Tensor, weights: Weights, name: str, dropout: float) -> Tensor:
        rows, count, dim = tokens.shape
        heads = self.shape.heads
        made = _linear(_normal(tokens, weights, f"{name}attend."), weights, f"{name}attend.")
        asks, keys, told = made.view(rows, count, 3, heads, dim // heads).permute(2, 0, 3, 1, 4)
        scores = asks @ keys.transpose(2, 3) * (dim // heads) ** -0.5 + absent
        heard = (torch.softmax(scores, dim=-1) @ told).transpose(1, 2).reshape(rows, count, dim)
        added = _linear(heard, weights, f"{name}gather.")
        tokens = tokens + functional.dropout(added, dropout, training=dropout > 0)
        wide = _linear(_normal(tokens, weights, f"{name}widen."), weights, f"{name}widen.")
        added = _linear(functional.silu(wide), weights, f"{name}narrow.")
        return tokens + functional.dropout(added, dropout, training=dropout > 0)

    def fit(self, rows: Rows, bias: Floats, parameters: Parameters, seed: int) -> dict[str, Floats]:
        """Fit for as many epochs as the newest rows want, then for so many on all rows.

        The same bytes at every call on machines of one kind: one thread, deterministic operators.
        """
        with _alone(seed):
            tail = max(1, round(TAIL_SHARE * len(rows)))
            older, newest = rows.some(slice(None, -tail)), rows.some(slice(-tail, None))
            epochs = 0
            if len(older):
                epochs = self._best_epoch(older, newest, bias, parameters, seed)
            log.info("transformer: %d epochs on all %d rows", epochs, len(rows))
            weights = self.fresh(bias, torch.Generator().manual_seed(seed))
            for _, averaged in self._epochs(rows, weights, {**parameters, "epochs": epochs}, seed):
                weights = averaged
        return {name: each.numpy().astype(np.float64) for name, each in weights.items()}

    def _best_epoch(self, older: Rows, newest: Rows, bias: Floats, parameters: Parameters, seed: int) -> int:
        """The epoch with the least loss on the newest rows; 0 where none is better than no feature at all."""
        start = self.fresh(bias, torch.Generator().manual_seed(seed))
        best, least = 0, self._mean_loss(newest, start)
        for number, averaged in self._epochs(older, start, parameters, seed):
            found = self._mean_loss(newest, averaged)
            log.info("transformer: epoch %d, loss %.5f on the %d newest rows", number, found, len(newest))
            if found < least:
                best, least = number, found
            if number - best >= PATIENCE:
                break
        return best

    def _epochs(
        self, rows: Rows, start: Weights, parameters: Parameters, seed: int
    ) -> Iterator[tuple[int, Weights]]:
        """Epoch by epoch, its number and weights that are averaged over about the last of them."""
        stream = torch.Generator().manual_seed(seed + 1)
        torch.manual_seed(seed + 2)  # dropout knows the common stream only
        weights = {name: each.clone().requires_grad_() for name, each in start.items()}
        averaged = {name: each.clone() for name, each in start.items()}
        rate, size = float(parameters["learning_rate"]), int(parameters["batch_size"])
        decayed = [each for name, each in weights.items() if name.endswith("weight")]
        others = [each for name, each in weights.items() if not name.endswith("weight")]
        groups = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
        steps = torch.optim.AdamW(groups, lr=rate, weight_decay=float(parameters["weight_decay"]))
        signs = torch.from_numpy(self.layout.signs)
        batches = -(-len(rows) // size)
        for number in range(1, int(parameters["epochs"]) + 1):
            order = torch.randperm(len(rows), generator=stream)
            for place, at in enumerate(order.split(size)):
                if number == 1:  # a gentle start: Adam's first steps know no scale yet
                    for group in steps.param_groups:
                        group["lr"] = rate * (place + 1) / batches
                batch = rows.some(at)
                if (self.layout.signs < 0).any():
                    batch = batch.mirrored(signs, stream)
                self._step(batch, weights, steps, float(parameters["dropout"]))
                with torch.no_grad():
                    for name, each in averaged.items():
                        each.lerp_(weights[name], 1.0 / min(batches, (number - 1) * batches + place + 1))
            yield number, averaged

    def _step(self, batch: Rows, weights: Weights, steps: torch.optim.Optimizer, dropout: float) -> None:
        steps.zero_grad()
        losses = self.loss(self.forward(batch, weights, dropout), batch.label)
        (losses * batch.weight).mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(list(weights.values()), LONGEST_STEP)
        if torch.isfinite(norm):
            steps.step()
        else:
            log.warning("transformer: a step was left out: its gradient is not finite")

    def _mean_loss(self, rows: Rows, weights: Mapping[str, Tensor]) -> float:
        with torch.no_grad():
            parts = [rows.some(slice(at, at + ROWS_AT_ONCE)) for at in range(0, len(rows), ROWS_AT_ONCE)]
            total = sum(
                float((self.loss(self.forward(each, dict(weights)), each.label) * each.weight).sum())
                for each in parts
            )
        return total / max(float(rows.weight.sum()), 1e-12)


@contextmanager
def _alone(seed: int) -> Iterator[None]:
    """One thread, deterministic operators, and a stream of random numbers that nobody else sees."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(mode=True)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(strict)


def _normal(of: Tensor, weights: Weights, name: str) -> Tensor:
    scale, shift = weights[f"{name}scale"], weights[f"{name}shift"]
    return functional.layer_norm(of, scale.shape, scale, shift, EPSILON)


def _linear(of: Tensor, weights: Weights, name: str) -> Tensor:
    return of @ weights[f"{name}weight"] + weights[f"{name}bias"]
