"""Items: one column group of one row, on both clocks. Batches are made of items.

Columns of an item frame: `line`, `part`, `provider`, `group`, `event_time`, `known_at` (Datetime us UTC,
both), `faults` (list of text), `empty` (the provider gave nothing for the group), `live` (known when
retrieved), `item` and `digest` (UInt64 marks of the key and of the content, equal for equal values) and the
`text.` columns: the key's, the event time's and the group's own.
"""

import re
from collections.abc import Mapping

import polars as pl

from pennant.data.digests import mark_of
from pennant.data.errors import SourceMalformed
from pennant.data.reading import MISSING, TEXT, UTC_MOMENT, fault_of, is_given, plausible, value_of
from pennant.declaration.model import ColumnGroup, EventTime, Source

CLOCK_TOLERANCE_MINUTES = 5
"""How far a provider's clock may be ahead of ours before its moments are faults."""
_BETWEEN = "\x1f"
_KNOWN = "known at"
_VALUE = "value."
"""Prefix of a typed column, while items are made: each is read once."""
_LONGEST_US = 10**17
"""About three thousand years in microseconds."""
_OFFSET = re.compile("%[:#]?z")


def event_time(source: Source) -> pl.Expr:
    """When a row's event happens, in UTC; null where it cannot be read, or is centuries away.

    A local time that a clock change doubles is its earlier moment; one that it skips is unreadable.
    """
    return plausible(_event_time(source))


def _event_time(source: Source) -> pl.Expr:
    rule = source.event_time
    if rule.fixed is not None:
        return pl.lit(rule.fixed).cast(UTC_MOMENT)
    first = pl.col(TEXT + rule.columns[0])
    if rule.start is not None and rule.unit_seconds is not None:
        counted = first.cast(pl.Float64, strict=False)
        passed = (counted * rule.unit_seconds * 1_000_000).round()
        passed = pl.when(passed.abs() < _LONGEST_US).then(passed).cast(pl.Int64)
        return (pl.lit(rule.start).cast(UTC_MOMENT) + pl.duration(microseconds=passed)).cast(UTC_MOMENT)
    return pl.coalesce(_dated(rule, form) for form in rule.formats)


def _dated(rule: EventTime, form: str) -> pl.Expr:
    """The moment by one format: of a date and a time column, or of one column."""
    day = pl.col(TEXT + rule.columns[0])
    if len(rule.columns) == 2:
        time = pl.col(TEXT + rule.columns[1])
        time = pl.when(~time.is_in(MISSING)).then(time)
        text = day + " " + (time.fill_null(rule.default_time) if rule.default_time else time)
    elif rule.default_time:
        text, form = day + f" {rule.default_time}", f"{form} %H:%M"
    else:
        text = day
    moment = text.str.strptime(pl.Datetime("us"), form, strict=False)
    if not _OFFSET.search(form.replace("%%", "")):
        moment = moment.dt.replace_time_zone(rule.time_zone, ambiguous="earliest", non_existent="null")
    # The year 24 is not one that a format with four digits has read.
    return plausible(moment.dt.convert_time_zone("UTC").cast(UTC_MOMENT))


def known_at(source: Source, group: ColumnGroup, happens: pl.Expr) -> pl.Expr:
    """When a group's values can be known: its rule, but not before the provider lists the event.

    The provider lists events `ahead_days` ahead: a schedule that is fixed a month before the game
    cannot be read before its row is there.
    """
    rule = group.known_at
    shift = pl.duration(milliseconds=round(rule.hours * 3_600_000))
    if rule.rule == "retrieved":
        return pl.col("retrieved_at").cast(UTC_MOMENT)
    if rule.rule == "column":
        moment = value_of(str(rule.column), "datetime", source.event_time.time_zone)
    elif rule.rule == "after_event":
        moment = happens + shift
    else:
        moment = happens - shift
    listed = happens - pl.duration(days=source.ahead_days)
    return pl.when(moment.is_not_null()).then(pl.max_horizontal(moment, listed)).cast(UTC_MOMENT)


def items_of(table: pl.DataFrame, name: str, address: str, source: Source) -> pl.DataFrame:
    """Every item of a provider's table, faults named, wherever in time it is.

    Args:
        table: of `reading.read_table`.
        name: `<use case>.<source>`, for messages.
        address: what was asked, for messages.
        source: the declaration.

    A row whose date cannot be read is filed at the time of the last dated row above it (else the
    first below), so that it is reported in one window and not in every one.

    Raises:
        SourceMalformed: the table has rows and not one readable date.
    """
    happens = pl.when(pl.col("misfit").is_null()).then(event_time(source))
    table = table.with_columns(event_time=happens)
    if table.height and table["event_time"].null_count() == table.height:
        column = source.event_time.columns[0]
        raise SourceMalformed(
            name,
            address,
            "no_dates",
            column=column,
            found=f"{table[TEXT + column].unique(maintain_order=True).head(3).to_list()}",
            allowed=f"dates as in {' or '.join(map(repr, source.event_time.formats))}",
        )
    table = table.with_columns(filed=pl.col("event_time").forward_fill().backward_fill())
    return pl.concat([group_items(table, source, group) for group in source.groups], how="diagonal")


def group_columns(source: Source, group_name: str) -> list[str]:
    """The group's own columns, without those of the key."""
    return [name for name in source.groups[group_name].columns if name not in source.key]


def item_of(source: Source, group_name: str) -> pl.Expr:
    """The mark of an item's key, which is that of its row and its group."""
    return mark_of([pl.lit(group_name), *(pl.col(TEXT + name) for name in source.key)])


def digest_of(source: Source, group_name: str) -> pl.Expr:
    """What an item is compared by: its values, however the provider writes them, and what is wrong with it.

    The rows have `event_time`, `faults` and the `text.` columns of the group.
    """
    zone, kinds = source.event_time.time_zone, source.groups[group_name].columns
    values = {name: value_of(name, kinds[name], zone) for name in group_columns(source, group_name)}
    return _digest(source, kinds, values)


def _digest(source: Source, kinds: Mapping[str, str], values: Mapping[str, pl.Expr]) -> pl.Expr:
    return mark_of([_content(source, kinds, values), pl.col("faults").list.join(";")])


def _content(source: Source, kinds: Mapping[str, str], values: Mapping[str, pl.Expr]) -> pl.Expr:
    happens = pl.col("event_time")
    dated = [pl.col(TEXT + name).fill_null("") for name in source.event_time.columns]
    parts = [happens]
    if dated:
        parts.append(pl.when(happens.is_null()).then(pl.concat_str(dated, separator=_BETWEEN)))
    for name, value in values.items():
        parts.append(value)
        if kinds[name] != "str":
            unread = is_given(name, kinds[name]) & value.is_null()
            parts.append(pl.when(unread).then(pl.col(TEXT + name)))
    return mark_of(parts)


def group_items(table: pl.DataFrame, source: Source, group_name: str) -> pl.DataFrame:
    """Items of one group; the table has `event_time` and `filed` beside what `reading.read_table` gives."""
    group = source.groups[group_name]
    own = group_columns(source, group_name)
    table, values = _typed(table, source, group_name)
    given = [is_given(name, group.columns[name]) for name in own]
    texts = dict.fromkeys([*source.key, *source.event_time.columns, *own])
    rule_column = group.known_at.column
    if rule_column:
        texts[rule_column] = None
    items = table.with_columns(
        group=pl.lit(group_name),
        live=pl.lit(group.known_at.rule == "retrieved"),
        faults=_faults(source, group_name, values),
        empty=~pl.any_horizontal(given) if given else pl.lit(False),
        known_at=known_at(source, group, pl.col("event_time")),
        item=item_of(source, group_name),
    )
    # An unreadable moment of knowledge is a fault, filed like an unreadable date; an absent one is not
    # known yet.
    lost = pl.col("event_time").is_null()
    if rule_column:
        lost |= is_given(rule_column, "datetime") & pl.col(_VALUE + _KNOWN).is_null()
    filed = pl.col("filed") if rule_column else known_at(source, group, pl.col("filed"))
    items = items.with_columns(known_at=pl.when(lost).then(filed).otherwise("known_at"))
    items = items.filter(pl.col("known_at").is_not_null())
    own_values = {name: values[name] for name in own}
    items = _with_duplicates(items, source, _content(source, group.columns, own_values))
    items = items.with_columns(digest=_digest(source, group.columns, own_values))
    names = [
        "line",
        "part",
        "provider",
        "group",
        "event_time",
        "known_at",
        "faults",
        "empty",
        "live",
        "item",
        "digest",
    ]
    return items.select(*names, *(TEXT + name for name in texts))


def _typed(table: pl.DataFrame, source: Source, group_name: str) -> tuple[pl.DataFrame, dict[str, pl.Expr]]:
    """The table with a group's typed columns, and how to read each; the key's are text as they are."""
    group, zone = source.groups[group_name], source.event_time.time_zone
    values = {
        name: pl.col(TEXT + name) if kind == "str" else pl.col(_VALUE + name)
        for name, kind in group.columns.items()
    }
    read = {
        _VALUE + name: value_of(name, kind, zone) for name, kind in group.columns.items() if kind != "str"
    }
    if group.known_at.column:
        read[_VALUE + _KNOWN] = value_of(group.known_at.column, "datetime", zone)
    values |= {name: pl.col(TEXT + name) for name in source.key if name not in values}
    return table.with_columns(**read), values


def _faults(source: Source, group_name: str, values: Mapping[str, pl.Expr]) -> pl.Expr:
    group = source.groups[group_name]
    keyless = pl.any_horizontal([pl.col(TEXT + name).is_null() for name in source.key])
    dated = ", ".join(source.event_time.columns)
    checks: list[pl.Expr] = [
        pl.when(keyless).then(pl.lit("no key")),
        pl.when(pl.col("event_time").is_null()).then(pl.lit(f"unreadable date: {dated}")),
    ]
    rule_column = group.known_at.column
    told = pl.col(_VALUE + _KNOWN)
    for name, value in values.items():
        checks.append(fault_of(name, group.columns.get(name, "str"), value))
    if rule_column and group.columns.get(rule_column) != "datetime":
        checks.append(fault_of(rule_column, "datetime", told))
    if rule_column:
        ahead = told > pl.col("retrieved_at") + pl.duration(minutes=CLOCK_TOLERANCE_MINUTES)
        checks.append(pl.when(ahead).then(pl.lit(f"known after it was told: {rule_column}")))
    # In a row with a field too many or too few no value can be trusted to stand under its name.
    misfit = pl.lit(["wrong number of fields"], dtype=pl.List(pl.String))
    found = pl.concat_list(checks).list.drop_nulls()
    return pl.when(pl.col("misfit").is_not_null()).then(misfit).otherwise(found)


def _with_duplicates(items: pl.DataFrame, source: Source, content: pl.Expr) -> pl.DataFrame:
    """Name doubled keys. Of equal copies the first is kept; of differing ones none can be trusted."""
    keys = [TEXT + name for name in source.key]
    full = ~pl.col("empty") & pl.all_horizontal([pl.col(name).is_not_null() for name in keys])
    suspect = items.select(full & pl.when(full).then("item").is_duplicated()).to_series()
    if not suspect.any():
        return items
    # The few rows whose marks meet are compared by their keys themselves.
    rows = items.with_row_index("row").filter(suspect).with_columns(content=content)
    differing = pl.col("content").n_unique().over(keys) > 1
    copy = pl.int_range(pl.len()).over(keys) > 0
    doubled = rows.filter(differing | copy)["row"]
    named = pl.col("faults").list.concat(pl.lit(["duplicate key"], dtype=pl.List(pl.String)))
    return items.with_columns(
        faults=pl.when(pl.int_range(pl.len(), dtype=pl.UInt32).is_in(doubled.implode()))
        .then(named)
        .otherwise("faults")
    )
