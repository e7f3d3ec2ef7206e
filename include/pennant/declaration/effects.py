"""What a change of each part of a declaration does: to which room, which Dags, and how serious it is."""

from dataclasses import dataclass
from typing import Literal

Severity = Literal["note", "change", "new_model", "new_history"]
SEVERITIES: tuple[Severity, ...] = ("note", "change", "new_model", "new_history")
"""Mildest first: only seen; from the next run on; needs a new model; the past means something else."""


@dataclass(frozen=True)
class Effect:
    """What follows from a change of the fields below `prefix`."""

    prefix: str
    room: str
    dags: tuple[str, ...]
    """Parts of the use case's Dags, as in `<name>__train`."""
    severity: Severity
    words: str


DATA = ("ingest", "features")
TRAINED = (*DATA, "backtest")
ALL = (*DATA, "train", "release", "score", "watch", "backtest")
MODEL = ("features", "train", "backtest")

# The longest prefix that fits a field is the one that holds.
EFFECTS: tuple[Effect, ...] = (
    Effect(
        "name",
        "declaration",
        ALL,
        "new_history",
        "every Dag, model, prediction and ledger entry starts anew under the new name",
    ),
    Effect("title", "declaration", ALL, "note", "another heading in the Airflow UI"),
    Effect("description", "declaration", ALL, "note", "other words in the Airflow UI"),
    Effect("tags", "declaration", ALL, "note", "other tags in the Airflow UI"),
    Effect(
        "owner", "declaration", ALL, "note", "another owner in the Airflow UI, in alerts and on model cards"
    ),
    Effect(
        "task",
        "training",
        ALL,
        "new_history",
        "another kind of prediction: no model, score or outcome can be compared",
    ),
    Effect(
        "sources",
        "data",
        ("ingest",),
        "new_history",
        "batches landed from now on differ from those in the lake; backfill if history has to follow",
    ),
    Effect(
        "sources.*.url",
        "data",
        ("ingest",),
        "change",
        "the next window is fetched from there; landed windows stay as they are",
    ),
    Effect(
        "sources.*.path",
        "data",
        ("ingest",),
        "change",
        "the next window is read from there in the mirror; landed windows stay as they are",
    ),
    Effect(
        "sources.*.connection",
        "data",
        ("ingest",),
        "change",
        "the next fetch takes its key or its database from there",
    ),
    Effect(
        "sources.*.fallback",
        "data",
        ("ingest",),
        "change",
        "asked when the first provider is down; its rows say so",
    ),
    Effect(
        "sources.*.identities",
        "data",
        (*MODEL, "score"),
        "new_history",
        "names are brought together in another way: features of the past change with the next snapshot",
    ),
    Effect("sources.*.rate", "data", ("ingest",), "change", "the next fetch asks this often at most"),
    Effect("sources.*.breaker", "data", ("ingest",), "change", "another patience with a failing provider"),
    Effect("sources.*.cache_seconds", "data", ("ingest",), "change", "answers this young are used again"),
    Effect("sources.*.deadline_seconds", "data", ("ingest",), "change", "the next fetch may take this long"),
    Effect("sources.*.max_lag_minutes", "data", ("ingest",), "change", "the data-lag alert comes after this"),
    Effect(
        "identities",
        "data",
        (*MODEL, "score"),
        "new_history",
        "names are brought together in another way: features of the past change with the next snapshot",
    ),
    Effect("sources.*.timeout_seconds", "data", ("ingest",), "change", "the next fetch waits this long"),
    Effect("sources.*.max_attempts", "data", ("ingest",), "change", "the next fetch tries this often"),
    Effect(
        "sources.*.ahead_days",
        "data",
        ("ingest", "score"),
        "change",
        "coming events are listed this far ahead",
    ),
    Effect(
        "sources.*.groups.*.known_at",
        "data",
        (*MODEL, "ingest", "score"),
        "new_history",
        "values become known at another moment: snapshots change, and old ones may have leaked",
    ),
    Effect(
        "validation", "data", ("ingest",), "change", "the next batches are judged so; validated ones stay"
    ),
    Effect(
        "spine",
        "features",
        (*MODEL, "score"),
        "new_history",
        "other rows, or another moment: features and scores are not comparable with the past",
    ),
    Effect(
        "label",
        "features",
        (*MODEL, "watch"),
        "new_history",
        "the label means something else: outcomes and metrics are not comparable with the past",
    ),
    Effect(
        "features",
        "features",
        (*MODEL, "score", "release"),
        "new_model",
        "the serving contract changes: a new model is needed; the champion cannot be scored on "
        "rows without its inputs, and the gate holds where it would have to compare with it",
    ),
    Effect(
        "features.*.unit",
        "features",
        MODEL,
        "new_model",
        "the same numbers would mean something else: train anew if the values changed with the unit",
    ),
    Effect(
        "features.*.low",
        "features",
        (*MODEL, "score"),
        "new_model",
        "the range that bundles carry; the served one keeps its own until replaced",
    ),
    Effect(
        "features.*.high",
        "features",
        (*MODEL, "score"),
        "new_model",
        "the range that bundles carry; the served one keeps its own until replaced",
    ),
    Effect(
        "features.*.missing",
        "features",
        (*MODEL, "score"),
        "new_model",
        "the rule for missing values that bundles carry; the served one keeps its own until replaced",
    ),
    Effect(
        "split",
        "training",
        MODEL,
        "new_model",
        "the next training run uses other rows; a finished search is not reused",
    ),
    Effect(
        "training",
        "training",
        MODEL,
        "new_model",
        "the next training run fits differently; the champion stays until the gate says otherwise",
    ),
    Effect(
        "training.search.workers",
        "training",
        ("train",),
        "change",
        "another number of mapped search tasks in the train Dag",
    ),
    Effect("training.cluster", "training", ("train",), "change", "trained elsewhere, or with other patience"),
    Effect("training.variants", "gate", ("backtest",), "note", "its backtest shows other figures"),
    Effect("training.search.minutes", "training", ("train",), "change", "another time budget of the search"),
    Effect(
        "baselines",
        "gate",
        MODEL,
        "change",
        "the next verdict is measured against these; the champion is not judged again",
    ),
    Effect("gate", "gate", MODEL, "change", "the next verdict follows this policy; past verdicts stand"),
    Effect("gate.approval", "gate", ("train",), "change", "the train Dag gains or loses its approval task"),
    Effect(
        "gate.approvers", "gate", ("train",), "change", "these people are asked from the next approval on"
    ),
    Effect(
        "release",
        "release",
        ("release",),
        "change",
        "the next release follows this plan; the traffic policy in force stays",
    ),
    Effect(
        "release.target",
        "release",
        ("release",),
        "change",
        "the next release goes elsewhere, by the manifests of the new target; "
        "the old one keeps serving until it is taken down",
    ),
    Effect("watch", "watch", ("watch",), "change", "the next windows are judged by these thresholds"),
    Effect(
        "watch.window_days",
        "watch",
        ("watch",),
        "change",
        "windows of another length: recent ones are measured anew, k of n starts over",
    ),
    Effect(
        "healing",
        "watch",
        ("watch",),
        "change",
        "the next failure is met with this action, cooldown and budget",
    ),
    Effect("alerts", "watch", ("watch", "train", "release"), "change", "the next alert takes these routes"),
    Effect(
        "schedules", "declaration", ALL, "change", "runs are due at other moments; windows in the store stay"
    ),
    Effect("schedules.ingest", "data", ("ingest",), "change", "data intervals of another length from now on"),
    Effect(
        "schedules.ingest_history",
        "data",
        ("ingest",),
        "change",
        "a backfill of the past makes other windows: overlapping ones bring nothing new",
    ),
    Effect(
        "schedules.history_until",
        "data",
        ("ingest",),
        "change",
        "the switch from coarse to fine windows moves",
    ),
    Effect("schedules.score", "features", ("score",), "change", "scored at other moments"),
    Effect("schedules.watch", "watch", ("watch",), "change", "watched at other moments"),
    Effect(
        "schedules.features",
        "features",
        ("features",),
        "change",
        "snapshots and leak reports at other moments",
    ),
    Effect("schedules.train", "training", ("train", "backtest"), "change", "trained at other moments"),
    Effect("cluster_from_rows", "features", (), "note", "the same values, made elsewhere"),
    Effect("replay", "simulation", (), "note", "only the demo reads it"),
    Effect(
        "market",
        "watch",
        ("score", "watch"),
        "change",
        "the next betting opportunities are sized by this; placed ones stand",
    ),
)


def effect_of(field: tuple[str, ...]) -> Effect:
    """The effect of a change of one field, by the longest prefix that fits.

    Raises:
        LookupError: a field of the model that no effect covers; a test keeps this from happening.
    """
    fitting = [each for each in EFFECTS if _fits(each.prefix.split("."), field)]
    if not fitting:
        raise LookupError(f"no effect is known for a change of {'.'.join(field)}")
    return max(fitting, key=lambda each: len(each.prefix.split(".")))


def _fits(prefix: list[str], field: tuple[str, ...]) -> bool:
    if len(prefix) > len(field):
        return False
    return all(part in ("*", given) for part, given in zip(prefix, field, strict=False))
