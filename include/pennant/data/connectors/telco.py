"""IBM's sample of a telephone company's customers: one row each, without any date.

github.com/IBM/telco-customer-churn-on-icp4d, `data/Telco-Customer-Churn.csv` (Apache License 2.0).
`TotalCharges` is a blank for customers who have just come (tenure 0), which reads as missing.
"""

from typing import Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask
from pennant.data.parsing import csv_table
from pennant.declaration.model import Source
from pennant.reference import Window


class Telco:
    """One file, no options."""

    kind = "telco"
    history: Literal["full", "today"] = "full"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        found = [f"telco knows no option {name!r}; allowed: none" for name in source.options]
        if source.url is None and source.path is None:
            found.append("telco needs an address: url, path, or both")
        if source.event_time.fixed is None:
            found.append("telco's table has no dates; allowed: event_time: {fixed: <moment>}")
        return found

    def asks(self, source: Source, window: Window) -> list[Ask]:  # noqa: ARG002  # the whole table every time
        """The one file."""
        return [Ask(part="customers", url=source.url, path=source.path)]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:  # noqa: ARG002  # one layout
        """The rows of the file as text.

        Raises:
            SourceMalformed: the body is no CSV table.
        """
        return csv_table(answer)
