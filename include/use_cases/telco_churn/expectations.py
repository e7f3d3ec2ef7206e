"""Rules of the Telco table that look at several columns."""

import polars as pl

from pennant.data.quality.suites import rule

NO_SERVICE = "No internet service"
ADDITIONS = (
    "OnlineSecurity",
    "OnlineBackup",
    "DeviceProtection",
    "TechSupport",
    "StreamingTV",
    "StreamingMovies",
)

without = pl.col("InternetService") == "No"
sold = pl.sum_horizontal((pl.col(name) != NO_SERVICE).cast(pl.Int64) for name in ADDITIONS)

RULES = [
    rule(
        "customers",
        "customer",
        expect="ExpectColumnValuesToNotBeNull",
        with_={"column": "TotalCharges"},
        on_failure="warn",
        words="a blank TotalCharges (customers in their first month)",
    ),
    rule(
        "customers",
        "customer",
        expect="ExpectColumnValuesToBeInSet",
        with_={"column": "blank_total_after_the_first_month", "value_set": [False]},
        on_failure="quarantine",
        words="a blank TotalCharges of somebody who has paid before",
        derived={
            "blank_total_after_the_first_month": pl.col("TotalCharges").is_null() & (pl.col("tenure") > 0)
        },
    ),
    rule(
        "customers",
        "customer",
        expect="ExpectColumnValuesToBeBetween",
        with_={"column": "additions_without_internet", "max_value": 0},
        on_failure="quarantine",
        words="services that need the internet, and no internet",
        derived={"additions_without_internet": pl.when(without).then(sold).otherwise(0)},
    ),
]
