"""What the network's last numbers are and what they cost, task by task, before PyTorch and after."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pennant.training.losses import Floats
from pennant.training.members.paths import Walks
from pennant.training.members.transformer_graph import LEAST_LOG_MEAN, LOG_SIZES
from pennant.training.members.transformer_network import Loss
from pennant.training.problem import Problem

MODES = 20
"""So many samples of a path there are: the literature scores the best of 20."""
NEAR = 1e-3
"""Paces in which a distance is rounded off: the root of nothing has no slope."""
PARTNERS = 3
"""So many other samples each is held against in a step."""
START_LOG_SIZE = 3.0


@dataclass(frozen=True)
class Aim:
    """What a network is fitted to.

    Attributes:
        label: as the loss takes it, (n, ...).
        weight: (n,), mean 1.
        bias: the last numbers that are best without any feature, (outputs,).
        loss: from last numbers and labels to losses.
        mean: of a regression's labels.
        scale: of a regression's labels.
    """

    label: Floats
    weight: Floats
    bias: Floats
    loss: Loss
    mean: float = 0.0
    scale: float = 1.0


def aim(problem: Problem, x: Floats, y: Floats, weight: Floats, seed: int) -> Aim:
    """The aim of a task with labels `y`."""
    share = weight / max(float(weight.sum()), 1e-12)
    even = weight / max(float(weight.mean()), 1e-12)
    if problem.task == "trajectory":
        return _path_aim(problem, x, y, even, seed)
    if problem.task == "multiclass":
        chances = np.array([share[y == each].sum() for each in range(problem.classes)])
        return Aim(y, even, np.log(np.maximum(chances, 1e-4)), _class_loss)
    mean = float(share @ y)
    if problem.task == "count":
        bias = np.array([np.log(max(mean, 1e-3)), START_LOG_SIZE])
        return Aim(y, even, bias, _count_loss)
    if problem.task == "binary":
        inside = min(max(mean, 1e-4), 1.0 - 1e-4)
        return Aim(y, even, np.array([np.log(inside / (1.0 - inside))]), _binary_loss)
    scale = float(np.sqrt(share @ np.square(y - mean))) or 1.0
    return Aim((y - mean) / scale, even, np.zeros(1), _square_loss, mean, scale)


def _binary_loss(raw: Tensor, label: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(raw[:, 0], label, reduction="none")


def _class_loss(raw: Tensor, label: Tensor) -> Tensor:
    return functional.cross_entropy(raw, label.long(), reduction="none")


def _square_loss(raw: Tensor, label: Tensor) -> Tensor:
    return torch.square(raw[:, 0] - label)


def _count_loss(raw: Tensor, label: Tensor) -> Tensor:
    """Minus the log of a negative binomial chance; in doubles, as large terms cancel."""
    k = label.double()
    log_mean, log_size = raw[:, 0].double().clamp(min=LEAST_LOG_MEAN), raw[:, 1].double().clamp(*LOG_SIZES)
    size, log_all = log_size.exp(), torch.logaddexp(log_mean, log_size)
    ways = torch.lgamma(k + size) - torch.lgamma(size) - torch.lgamma(k + 1.0)
    return -(ways + size * (log_size - log_all) + k * (log_mean - log_all)).float()


def _path_aim(problem: Problem, x: Floats, y: Floats, weight: Floats, seed: int) -> Aim:
    """Residuals to constant velocity in the walker's frame, weighed by the pace so that metres count.

    Samples start as residuals of walks that were seen.
    """
    walks = Walks.of(x, problem.names)
    residual = walks.residual(y.reshape(len(y), problem.steps, 2)).reshape(len(y), -1)
    drawn = np.random.default_rng(seed).choice(len(y), MODES, replace=len(y) < MODES)
    bias = np.concatenate([np.zeros(2 * problem.steps), residual[drawn].ravel()])
    return Aim(residual, weight * walks.pace / walks.pace.mean(), bias, _path_loss)


def _path_loss(raw: Tensor, label: Tensor) -> Tensor:
    """Mean distance of the single path over the steps, and the energy score of the samples, in paces.

    The energy score (Gneiting and Raftery 2007, "Strictly proper scoring rules, prediction, and estimation",
    Journal of the American Statistical Association 102, 359-378) is least for samples of the true law.
    """
    size = label.shape[1]
    samples = raw[:, size:].view(len(raw), -1, size)
    off = _apart(samples - label[:, None]).mean(dim=1)
    turns = 1 + torch.randperm(MODES - 1)[:PARTNERS]
    among = torch.stack([_apart(samples - samples.roll(int(by), dims=1)) for by in turns]).mean(dim=(0, 2))
    return _apart(raw[:, :size] - label) + off - 0.5 * among


def _apart(between: Tensor) -> Tensor:
    """Mean length over the steps of (..., 2 steps)."""
    pairs = between.view(*between.shape[:-1], -1, 2)
    return (torch.square(pairs).sum(dim=-1) + NEAR**2).sqrt().mean(dim=-1)
