"""The verdict on a betting record in plain words, which says so when there is no edge."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import polars as pl

from pennant.decisions.bankroll import NOT_DECIDED, Drawdown, Estimate, drawdown, equity, ratio, roi
from pennant.decisions.errors import RuleError
from pennant.decisions.searching import Search

Code = Literal["no_bets", "too_few_bets", "no_edge", "not_shown", "edge"]

MIN_BETS = 100
"""With fewer bets nothing is claimed: at even money the interval of 100 is 20 % of the stakes each way."""


@dataclass(frozen=True)
class Verdict:
    """What a betting record shows.

    Attributes:
        code: `no_bets`; `too_few_bets` to say; `no_edge` (the closing prices, or without them the profits,
            speak against one); `not_shown` (neither for nor against); `edge`.
        text: the same in words, with the numbers.
        bets: how many were decided or pushed.
        roi: profit per unit staked; None without bets.
        clv_percent: mean closing-line value in percent, over the bets that have one; None without any.
        drawdown: the bankroll's worst fall.
        search: the correction for having searched, if a search was given.
    """

    code: Code
    text: str
    bets: int
    roi: Estimate | None
    clv_percent: Estimate | None
    drawdown: Drawdown
    search: Search | None

    def numbers(self) -> dict[str, Any]:
        """Everything as plain data, days as ISO dates."""
        made = asdict(self)
        for name in ("peak", "trough", "recovered"):
            day = made["drawdown"][name]
            made["drawdown"][name] = None if day is None else day.isoformat()
        return made


def verdict(
    settled: pl.DataFrame,
    search: Search | None = None,
    alpha: float = 0.05,
    min_bets: int = MIN_BETS,
    draws: int = 2000,
    seed: int = 0,
) -> Verdict:
    """Judge a betting record.

    An edge is claimed only if all that is known agrees: the mean closing-line value (the profit per unit,
    where there are no closing prices) is above 0 with its whole interval, the profit's interval is not
    wholly under 0, and of what was searched something stands after the correction.

    Args:
        settled: from `settle.settled`, with `clv_percent` from `closing.with_closing_value` if there is one.
        search: what was tried before these bets were chosen; None only if nothing was.
        alpha: error of the intervals, and of the search.
        min_bets: fewer show nothing.
        draws: of days.
        seed: of the draws.

    Raises:
        RuleError: an alpha outside 0 to 1.
    """
    if not 0.0 < alpha < 1.0:
        raise RuleError("alpha", alpha, "between 0 and 1")
    fall = drawdown(equity(settled))
    played = settled.filter(~pl.col("result").is_in(list(NOT_DECIDED)))
    if played.is_empty():
        text = "No bets were settled: there is nothing to judge."
        return Verdict("no_bets", text, 0, None, None, fall, search)
    profit = roi(played, alpha, draws, seed)
    clv = _closing_value(played, alpha, draws, seed)
    code = _code(played.height, profit, clv, search, alpha, min_bets)
    text = _text(code, profit, clv, fall, search, alpha, min_bets)
    return Verdict(code, text, played.height, profit, clv, fall, search)


def _closing_value(played: pl.DataFrame, alpha: float, draws: int, seed: int) -> Estimate | None:
    if "clv_percent" not in played.columns:
        return None
    closed = played.filter(pl.col("clv_percent").is_not_null())
    if closed.is_empty():
        return None
    days = closed["event_time"].dt.replace_time_zone(None).to_numpy()
    return ratio(closed["clv_percent"].to_numpy(), np.ones(closed.height), days, alpha, draws, seed)


def _code(
    bets: int, profit: Estimate, clv: Estimate | None, search: Search | None, alpha: float, min_bets: int
) -> Code:
    judge = clv or profit
    if bets < min_bets or judge.bets < min_bets or judge.low is None or judge.high is None:
        return "too_few_bets"
    losing = profit.high is not None and profit.high < 0.0
    if judge.mean <= 0.0 or judge.high <= 0.0 or losing:
        return "no_edge"
    searched_away = search is not None and not search.found(alpha)
    return "not_shown" if judge.low <= 0.0 or searched_away else "edge"


def _text(
    code: Code,
    profit: Estimate,
    clv: Estimate | None,
    fall: Drawdown,
    search: Search | None,
    alpha: float,
    min_bets: int,
) -> str:
    first = {
        "too_few_bets": f"Too little to say ({min_bets} bets on several days are needed)",
        "no_edge": "No edge",
        "not_shown": "No edge shown",
        "edge": "An edge",
    }[code]
    parts = []
    if clv is not None:
        unclosed = f" of {profit.bets} (the others have no closing price)" if clv.bets < profit.bets else ""
        parts.append(f"over {clv.bets} bets{unclosed} the mean closing-line value is {_percent(clv, 1.0)}")
        parts.append(f"the profit per unit staked is {_percent(profit, 100.0)}")
    else:
        parts.append(f"over {profit.bets} bets the profit per unit staked is {_percent(profit, 100.0)}")
        parts.append("there are no closing prices to judge by")
    parts.append(f"the worst fall of the bankroll was {100.0 * fall.share:.1f} %")
    if search is not None:
        parts.append(_searched(search, alpha))
    return f"{first}: {'; '.join(parts)}."


def _searched(search: Search, alpha: float) -> str:
    tried, best = len(search.candidates), search.best
    said = f"of {tried} sets of bets that were tried, the best ({best.name}: {best.bets} bets)"
    if best.p_corrected > alpha:
        return f"{said} is no better than luck gives the best of {tried} (p = {best.p_corrected:.2g})"
    return f"{said} stands with all of them counted (p = {best.p_corrected:.2g})"


def _percent(found: Estimate, scale: float) -> str:
    mean = f"{scale * found.mean:+.1f} %"
    if found.low is None or found.high is None:
        return f"{mean} [no interval: {found.days} day(s)]"
    return f"{mean} [{scale * found.low:+.1f}, {scale * found.high:+.1f}]"
