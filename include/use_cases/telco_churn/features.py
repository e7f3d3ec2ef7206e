"""Features of a telephone company's customers: each from the customer's own row.

Target encoding is not here: it reads labels, so training fits it inside its folds
(`pennant.features.customers.fold_target_encoding`).
"""

import polars as pl

from pennant.features.customers import bands, flag, one_hot, ratio, service_count
from pennant.features.view import View

TENURE_EDGES_MONTHS = (6, 12, 24, 48)
PROTECTION = ("OnlineSecurity", "OnlineBackup", "DeviceProtection", "TechSupport")
STREAMING = ("StreamingTV", "StreamingMovies")
CONTRACT_MONTHS = {"Month-to-month": 1.0, "One year": 12.0, "Two year": 24.0}

INTERNET = {"DSL": "internet_dsl", "Fiber optic": "internet_fiber", "No": "internet_none"}
CONTRACT = {
    "Month-to-month": "contract_month_to_month",
    "One year": "contract_one_year",
    "Two year": "contract_two_year",
}
ADDITIONS = {
    "OnlineSecurity": "online_security",
    "OnlineBackup": "online_backup",
    "DeviceProtection": "device_protection",
    "TechSupport": "tech_support",
    "StreamingTV": "streaming_tv",
    "StreamingMovies": "streaming_movies",
}
FLAGS = {
    "PhoneService": "phone",
    "PaperlessBilling": "paperless_billing",
    "SeniorCitizen": "senior",
    "Partner": "partner",
    "Dependents": "dependents",
}


def features(view: View) -> pl.DataFrame:
    """One row per customer; use_case.yaml has the units."""
    rows = view.requests.with_columns(
        ratio(pl.col("TotalCharges"), pl.col("tenure")).alias("mean_charges"),
        service_count(PROTECTION).alias("protection_services"),
        service_count(STREAMING).alias("streaming_services"),
        service_count(["MultipleLines"]).alias("multiple_lines"),
        pl.col("PhoneService").cast(pl.Float64).alias("phone"),
        (1.0 - flag("InternetService", "No")).alias("internet"),
    )
    bundle = ("phone", "multiple_lines", "internet", "protection_services", "streaming_services")
    services = pl.sum_horizontal(bundle, ignore_nulls=False)
    return rows.select(
        "entity",
        "mean_charges",
        *bundle[1:2],
        *bundle[3:],
        pl.col("tenure").cast(pl.Float64).alias("tenure_months"),
        pl.col("MonthlyCharges").alias("monthly_charges"),
        pl.col("TotalCharges").alias("total_charges"),
        (pl.col("MonthlyCharges") - pl.col("mean_charges")).alias("charges_change"),
        ratio(pl.col("MonthlyCharges"), services).alias("charges_per_service"),
        services.alias("services"),
        pl.col("Contract").replace_strict(CONTRACT_MONTHS, default=None).alias("contract_months"),
        flag("PaymentMethod", "Electronic check").alias("pays_electronic_check"),
        flag("PaymentMethod", "Mailed check").alias("pays_mailed_check"),
        flag("PaymentMethod", "Bank transfer (automatic)", "Credit card (automatic)").alias(
            "pays_automatically"
        ),
        *(flag(column, "Yes").alias(name) for column, name in ADDITIONS.items()),
        flag("gender", "Male").alias("male"),
        *bands("tenure", TENURE_EDGES_MONTHS, "tenure_band"),
        *one_hot("InternetService", INTERNET),
        *one_hot("Contract", CONTRACT),
        *(pl.col(column).cast(pl.Float64).alias(name) for column, name in FLAGS.items()),
    )


def baselines(view: View) -> pl.DataFrame:
    """No declared baseline needs a column: base_rate is the mean label."""
    return view.requests.select("entity")
