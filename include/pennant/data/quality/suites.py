"""The rules of a use case: those of its declaration, and those written by hand beside it.

`include/use_cases/<name>/expectations.py` is optional. It holds a list `RULES`:

```python
import polars as pl

from pennant.data.quality.suites import rule

RULES = [
    rule(
        "lines",                                  # source
        "quote",                                  # column group
        expect="ExpectColumnValuesToBeBetween",   # of Great Expectations
        with_={"column": "minutes_after_start", "max_value": 0},
        on_failure="quarantine",                  # or stop, or warn
        words="a price quoted after the announced start",
        derived={"minutes_after_start": (pl.col("known_at") - pl.col("event_time")).dt.total_minutes()},
    ),
]
```

`derived` columns are computed from the typed rows: the key, `event_time`, `known_at`, the group's columns and
`provider`. So a rule over several columns is an ordinary expectation on one.
"""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from pennant.data.errors import RulesBroken
from pennant.declaration.expectations import COLUMN_ARGUMENTS, EXPECTATIONS
from pennant.declaration.model import DataUseCase

FILE = "expectations.py"
OnFailure = Literal["stop", "quarantine", "warn"]


@dataclass(frozen=True)
class Rule:
    """One expectation on one column group, and what happens where it fails.

    Attributes:
        source, group: what it judges.
        expect: name of the expectation in Great Expectations.
        with_: its arguments.
        on_failure: `quarantine` sets the failing rows aside, `stop` fails the batch, `warn` reports.
        words: what is wrong with a row that fails, for people; empty: the name of the expectation.
        derived: columns made from the typed rows, for this rule only.
    """

    source: str
    group: str
    expect: str
    with_: Mapping[str, Any]
    on_failure: OnFailure
    words: str = ""
    derived: Mapping[str, pl.Expr] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """How the rule is called in reasons: its words, or its expectation and columns."""
        if self.words:
            return self.words
        named = [str(self.with_[each]) for each in COLUMN_ARGUMENTS if each in self.with_]
        listed = self.with_.get("column_list")
        named += [str(each) for each in listed] if isinstance(listed, list) else []
        return f"{self.expect}: {', '.join(named)}" if named else self.expect


def rule(
    source: str,
    group: str,
    *,
    expect: str,
    with_: Mapping[str, Any],
    on_failure: OnFailure,
    words: str,
    derived: Mapping[str, pl.Expr] | None = None,
) -> Rule:
    """Write one rule by hand; see the module's example."""
    return Rule(source, group, expect, dict(with_), on_failure, words, dict(derived or {}))


def rules_of(use_case: DataUseCase, use_cases: Path) -> list[Rule]:
    """Every rule of a use case, the declared ones first.

    Args:
        use_case: the declaration.
        use_cases: the folder of use cases, where `expectations.py` may lie.

    Raises:
        RulesBroken: the file cannot be loaded, or a rule in it leads nowhere.
    """
    declared = [
        Rule(each.source, each.group, each.expect, each.with_, each.on_failure)
        for each in use_case.validation.expectations
    ]
    file = use_cases / use_case.name / FILE
    return declared + (_by_hand(use_case, file) if file.is_file() else [])


def _by_hand(use_case: DataUseCase, file: Path) -> list[Rule]:
    spec = importlib.util.spec_from_file_location(f"pennant_rules_{use_case.name}", file)
    if spec is None or spec.loader is None:
        raise RulesBroken(file, "a file that Python cannot load", "a module with a list RULES")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RulesBroken(file, f"{type(error).__name__}: {error}", "a module with a list RULES") from error
    given = getattr(module, "RULES", None)
    if not isinstance(given, Sequence) or not all(isinstance(each, Rule) for each in given):
        raise RulesBroken(file, f"RULES = {given!r:.80}", "a list of rule(...)")
    for number, each in enumerate(given, 1):
        _check(use_case, file, number, each)
    return list(given)


def _check(use_case: DataUseCase, file: Path, number: int, given: Rule) -> None:
    where = f"rule {number}"
    if given.source not in use_case.sources:
        raise RulesBroken(file, f"{where}: source {given.source!r}", ", ".join(use_case.sources))
    groups = use_case.sources[given.source].groups
    if given.group not in groups:
        raise RulesBroken(file, f"{where}: group {given.group!r}", ", ".join(groups))
    known = EXPECTATIONS.get(given.expect)
    if known is None:
        raise RulesBroken(file, f"{where}: expectation {given.expect!r}", ", ".join(EXPECTATIONS))
    if given.on_failure not in {"stop", "quarantine", "warn"}:
        raise RulesBroken(file, f"{where}: on_failure {given.on_failure!r}", "stop, quarantine, warn")
    if given.on_failure == "quarantine" and not known.rows:
        found = f"{where}: {given.expect} with quarantine, which judges the batch and names no rows"
        raise RulesBroken(file, found, "stop or warn")
