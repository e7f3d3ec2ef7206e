"""What was found as lines to paste: views and features for features.py, declarations for use_case.yaml.

The lines call the same blocks with the same arguments as the search did, so they give the same values.
"""

import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from pennant.features.candidates import LAST, REST, Candidate, Pool

if TYPE_CHECKING:
    from pennant.features.discovery import Search

FRESH_HOURS = 24 * 60


def snippet(done: "Search") -> str:
    """The lines for both files; a remark alone where nothing was kept."""
    chosen = done.chosen()
    if not chosen:
        return "# Nothing that was tried adds to the declared features.\n"
    return f"{python(chosen)}\n\n{declared(done, chosen)}"


def python(chosen: list[Candidate]) -> str:
    """For features.py: the views, and `found(view)`, whose columns go into what features() gives."""
    pools = {each.pool.name: each.pool for each in chosen if each.pool is not None}
    names = {
        "pennant.features.blocks": ["day_of", "last_played", "sides"],
        "pennant.features.view": ["View"],
        "pennant.features.views": ["Known", "feature_view"],
        "pennant.features.windows": ["windows"],
    }
    views = [_view(pool, [each for each in chosen if each.pool == pool]) for pool in pools.values()]
    body = "\n\n\n".join([*views, _found(chosen, list(pools.values()))])
    used = {
        module: [each for each in each_of if re.search(rf"\b{each}\b", body)]
        for module, each_of in names.items()
    }
    imports = [f"from {module} import {', '.join(each)}" for module, each in used.items() if each]
    return "\n".join(["import polars as pl\n", *imports]) + f"\n\n\n{body}\n"


def declared(done: "Search", chosen: list[Candidate]) -> str:
    """For use_case.yaml, below `features:`; the range is the training rows', with room on both sides."""
    lines = ["# For use_case.yaml, below features:"]
    for each in chosen:
        values = done.x[:, done.tried.index(each)]
        given = values[~np.isnan(values)]
        room = max(float(np.ptp(given)) / 2, 1.0)
        low, high = _rounded(float(given.min()) - room), _rounded(float(given.max()) + room)
        unit = json.dumps(each.words)
        lines.append(f"#   {each.name}: {{unit: {unit}, low: {low:g}, high: {high:g}, missing: allow}}")
    return "\n".join(lines) + "\n"


def _view(pool: Pool, chosen: list[Candidate]) -> str:
    groups = ", ".join(json.dumps(each) for each in pool.groups)
    reads = ", ".join(json.dumps(f"{pool.source}.{each}") for each in pool.groups)
    columns = list(dict.fromkeys(each.column for each in chosen if each.column != REST))
    rows = f"known.events({json.dumps(pool.source)}, {groups})"
    lines = [
        f'@feature_view(entity="{pool.subject.name}", reads=[{reads}], fresh_hours={FRESH_HOURS})',
        f"def {pool.name}(known: Known) -> pl.DataFrame:",
        f'    """Found by `pennant discover`: the past of a {pool.subject.name} in {pool.source}."""',
    ]
    if len(pool.subject.asked) == 1:
        lines += [f'    rows = {rows}.with_columns(entity="{pool.subject.asked[0]}")']
        lines += ['    rows = rows.filter(pl.col("entity").is_not_null())']
    else:
        lines += _of_sides(pool, columns, rows)
    casts = ", ".join(json.dumps(each) for each in columns)
    if columns:
        lines += [
            "    made = windows(",
            f"        rows, [{casts}],",
            f'        last={LAST}, stats=("mean", "std"), expanding=("mean",), dtype=pl.Float64,',
            "    )",
        ]
    if any(each.column == REST for each in chosen):
        last = 'last_played(rows).rename({"value": "last_day"})'
        if columns:
            lines += [
                f"    last = {last}",
                '    made = made.join(last, on=["entity", "known_at"], how="left", maintain_order="left")',
            ]
        else:
            clocks = (
                'rows.select("entity", "known_at", "event_time").unique(["entity", "known_at"], keep="last")'
            )
            lines += [f'    made = {clocks}.join({last}, on=["entity", "known_at"])']
    return "\n".join([*lines, "    return made"])


def _of_sides(pool: Pool, columns: Sequence[object], rows: str) -> list[str]:
    plain = {name: (name, name) for name in pool.plain if name in columns}
    used = {
        name: both
        for name, both in pool.pairs.items()
        if {name, f"{name}_against", f"{name}_lead"} & set(columns)
    }
    asked = ", ".join(json.dumps(each) for each in pool.subject.asked)
    spelled = ", ".join(
        f"{json.dumps(name)}: ({json.dumps(a)}, {json.dumps(b)})" for name, (a, b) in (used | plain).items()
    )
    lines = [f"    rows = sides({rows}, {{{spelled}}}, {asked})"]
    lines += ['    rows = rows.filter(pl.col("entity").is_not_null())']
    lines += [
        f'    rows = rows.with_columns({name}_lead=pl.col("{name}") - pl.col("{name}_against"))'
        for name in used
        if f"{name}_lead" in columns
    ]
    return lines


def _found(chosen: list[Candidate], pools: list[Pool]) -> str:
    lines = ["def found(view: View) -> dict[str, pl.Series]:", '    """Columns to add to features()."""']
    for number, pool in enumerate(pools):
        for side, asked in enumerate(pool.subject.asked):
            lines.append(f'    {_side(number, side)} = view.join("{asked}", {pool.name})')
    if any(each.column == REST for each in chosen):
        lines.append('    start = view.requests.select(day_of("event_time")).to_series()')
    own: dict[tuple[str, str], list[str]] = {}
    for each in (each for each in chosen if each.pool is None):
        columns = [each.column] if isinstance(each.column, str) else list(each.column)
        own.setdefault((each.source, each.group), []).extend(columns)
    for (source, group), asked_for in own.items():
        names = ", ".join(json.dumps(each) for each in dict.fromkeys(asked_for))
        lines.append(f"    of_{group} = view.own({json.dumps(source)}, {json.dumps(group)}, {names})")
    lines.append("    return {")
    lines += [f'        "{each.name}": {_value(each, pools)},' for each in chosen]
    return "\n".join([*lines, "    }"])


def _value(each: Candidate, pools: list[Pool]) -> str:
    if each.pool is None:
        columns = (each.column,) if isinstance(each.column, str) else each.column
        parts = [f"of_{each.group}[{json.dumps(name)}].cast(pl.Float64)" for name in columns]
        if each.form == "level":
            return f"(of_{each.group}[{json.dumps(columns[0])}] == {json.dumps(each.level)}).cast(pl.Float64)"
    else:
        number = pools.index(each.pool)
        sides = range(len(each.pool.subject.asked))
        parts = [_window(each, _side(number, side)) for side in sides]
    operator = {"difference": " - ", "total": " + "}.get(each.form)
    return operator.join(parts) if operator else parts[0]


def _window(each: Candidate, side: str) -> str:
    if each.column == REST:
        return f'(start - {side}["last_day"])'
    if each.aggregate == "trend":
        return f'({side}["{each.column}_mean_5"] - {side}["{each.column}_mean_20"])'
    return f'{side}["{each.column}_{each.aggregate}"]'


def _side(number: int, side: int) -> str:
    return f"{('first', 'second')[side]}_{number + 1}"


def _rounded(value: float) -> float:
    """Outward to two digits."""
    if value == 0.0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    return (math.floor(value / unit) if value < 0 else math.ceil(value / unit)) * unit
