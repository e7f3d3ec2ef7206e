"""Simulated customers of a telephone company, whose true chance of leaving is known.

The table has the shape of IBM's Telco sample (connector `telco`). The chance that a customer leaves within
the month is logistic,

    p = sigmoid(sum of EFFECTS[term] over the terms that hold for the customer, tenure in years)

and nothing else of the table has a part in it.
"""

from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray

SEED = 20180101
COUNT = 5000
LONGEST = 72
"""Months."""
EFFECTS: dict[str, float] = {
    "one": -1.15,
    "tenure_years": -0.40,
    "fiber_optic": 1.10,
    "month_to_month": 1.00,
    "electronic_check": 0.45,
    "tech_support": -0.50,
    "senior": 0.25,
}
"""Log-odds."""
ADD_ONS = (
    "OnlineSecurity",
    "OnlineBackup",
    "DeviceProtection",
    "TechSupport",
    "StreamingTV",
    "StreamingMovies",
)
_CONTRACTS = ("Month-to-month", "One year", "Two year")
_PAYMENTS = ("Electronic check", "Mailed check", "Bank transfer (automatic)", "Credit card (automatic)")
_INTERNET = ("DSL", "Fiber optic", "No")
_YES = np.array(["No", "Yes"])


def table(seed: int = SEED, count: int = COUNT) -> bytes:
    """The provider's CSV (UTF-8): one row per customer, `TotalCharges` blank in the first month."""
    return simulate(seed, count).write_csv().encode()


def truth(seed: int = SEED, count: int = COUNT) -> pl.DataFrame:
    """The planted truth: customerID and p_churn, in the order of the table."""
    rows = simulate(seed, count)
    logit = design(rows).to_numpy() @ np.array(list(EFFECTS.values()))
    return rows.select("customerID").with_columns(pl.Series("p_churn", 1.0 / (1.0 + np.exp(-logit))))


def design(rows: pl.DataFrame) -> pl.DataFrame:
    """The terms of the truth, Float64, one column per effect, from columns as the table has them."""
    terms = {
        "one": pl.lit(1.0),
        "tenure_years": pl.col("tenure") / 12.0,
        "fiber_optic": pl.col("InternetService") == "Fiber optic",
        "month_to_month": pl.col("Contract") == "Month-to-month",
        "electronic_check": pl.col("PaymentMethod") == "Electronic check",
        "tech_support": pl.col("TechSupport") == "Yes",
        "senior": pl.col("SeniorCitizen") == 1,
    }
    return rows.select(terms[name].cast(pl.Float64).alias(name) for name in EFFECTS)


@lru_cache(maxsize=4)
def simulate(seed: int = SEED, count: int = COUNT) -> pl.DataFrame:
    """Draw customers and who of them leaves; columns as in the provider's table.

    The same arguments give the same customers.
    """
    stream, leaving = (np.random.default_rng(each) for each in np.random.SeedSequence(seed).spawn(2))
    tenure = np.minimum(np.floor(stream.beta(0.6, 0.8, count) * (LONGEST + 1)), LONGEST).astype(np.int64)
    # Who has stayed for long has a longer contract.
    long_term = stream.random(count) < 0.05 + 0.75 * tenure / LONGEST
    contract = np.where(long_term, stream.integers(1, 3, count), 0)
    internet = stream.choice(3, count, p=[0.34, 0.44, 0.22])
    phone = (internet == 1) | (internet == 2) | (stream.random(count) < 0.7)
    lines = np.where(phone, _YES[stream.integers(0, 2, count)], "No phone service")
    add_ons = {name: stream.random(count) < 0.2 + 0.4 * tenure / LONGEST for name in ADD_ONS}
    monthly = 20.0 * phone + np.array([25.0, 50.0, 0.0])[internet]
    monthly += 5.0 * (lines == "Yes") + 5.0 * (internet != 2) * np.sum(list(add_ons.values()), axis=0)
    monthly = np.round(np.maximum(monthly + stream.normal(0.0, 1.5, count), 18.0), 2)
    total = np.round(monthly * tenure * stream.uniform(0.95, 1.05, count), 2)
    rows = pl.DataFrame(
        {
            "customerID": _names(count),
            "gender": np.array(["Female", "Male"])[stream.integers(0, 2, count)],
            "SeniorCitizen": (stream.random(count) < 0.16).astype(np.int64),
            "Partner": _YES[stream.integers(0, 2, count)],
            "Dependents": _YES[(stream.random(count) < 0.3).astype(np.int64)],
            "tenure": tenure,
            "PhoneService": _YES[phone.astype(np.int64)],
            "MultipleLines": lines,
            "InternetService": np.array(_INTERNET)[internet],
            **{name: _add_on(has, internet) for name, has in add_ons.items()},
            "Contract": np.array(_CONTRACTS)[contract],
            "PaperlessBilling": _YES[(stream.random(count) < 0.6).astype(np.int64)],
            "PaymentMethod": np.array(_PAYMENTS)[stream.choice(4, count, p=[0.34, 0.22, 0.22, 0.22])],
            "MonthlyCharges": monthly,
            "TotalCharges": np.where(tenure == 0, " ", total.astype(np.str_)),
        }
    )
    logit = design(rows).to_numpy() @ np.array(list(EFFECTS.values()))
    leaves = leaving.random(count) < 1.0 / (1.0 + np.exp(-logit))
    return rows.with_columns(pl.Series("Churn", _YES[leaves.astype(np.int64)]))


def _add_on(has: NDArray[np.bool_], internet: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.where(internet == 2, "No internet service", _YES[has.astype(np.int64)])


def _names(count: int) -> list[str]:
    """Customer ids as the provider writes them, such as `0042-AABQC`: four digits and five letters."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [
        f"{number % 10_000:04}-" + "".join(letters[number * 7919 // 26**place % 26] for place in range(5))
        for number in range(count)
    ]
