"""Which features each input of a path's trees is made of, and terms of inputs handed back to the features."""

from collections.abc import Sequence

import numpy as np

from pennant_serving.arrays import Floats
from pennant_serving.members.walks import Frame


def sources(names: Sequence[str]) -> Floats:
    """Shares (inputs made, features), each row summing to 1, in the order of `walks.inputs`."""
    frame = Frame.of(names)
    points = [frozenset(), *(frozenset(each) for each in frame.back)]
    legs = [points[k] | points[k - 1] for k in range(1, len(points))]
    bends = [legs[k] | legs[k + 1] for k in range(min(3, len(legs) - 1))]
    pace = points[1] | points[-1]
    made = [each for group in (points[1:], legs, bends) for each in group for _ in ("ahead", "left")]
    made += [*legs, pace, *(frozenset({each}) for each in frame.plain)]
    shares = np.zeros((len(made), len(names)))
    for at, features in enumerate(made):
        shares[at, sorted(features)] = 1.0 / len(features)
    return shares


def attributed(terms: Floats, shares: Floats) -> Floats:
    """Terms (n, outputs, inputs + 1) of inputs as terms (n, outputs, features + 1); the bias stays."""
    made = np.einsum("noi,if->nof", terms[:, :, :-1], shares)
    return np.concatenate([made, terms[:, :, -1:]], axis=2)
