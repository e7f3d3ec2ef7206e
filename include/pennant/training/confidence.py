"""What a prediction's confidence is measured against: the reference rows' widths and disagreements.

    confidence = 1 - (rank of the interval's width + rank of the members' disagreement) / 2

A rank is the share of the reference rows whose value is less. So 1 is said of a row whose interval is
narrower than any reference row's and whose members agree more than on any, 0 of the opposite. It orders rows
of one model; it is no probability, and does not compare models. The scorer in `pennant_serving` does the sum;
here are the percentiles that it ranks by.
"""

import numpy as np

from pennant.training.losses import Floats

PERCENTILES = np.linspace(0.0, 100.0, 101)


def percentiles(widths: Floats, disagreement: Floats) -> dict[str, list[float]] | None:
    """The `confidence` of bundle.json: each percentile from 0 to 100 of both, over the reference rows.

    None where all rows are alike in both, as those of one member with one width: nothing orders them, and a
    confidence of 1 for all would promise what nobody measured.
    """
    if np.ptp(widths) == 0.0 and np.ptp(disagreement) == 0.0:
        return None
    return {
        "width": _rising(widths),
        "disagreement": _rising(disagreement),
    }


def _rising(values: Floats) -> list[float]:
    # Interpolation may be a rounding off, and percentiles that fall are no percentiles.
    found = np.maximum.accumulate(np.percentile(values, PERCENTILES))
    return [float(each) for each in found]
