"""The text of a new use case; `<word>` is filled in by `scaffold`, as JSON, which is YAML too."""

DECLARATION = """\
# Made by `pennant new`. It loads; whether it is right is for you to say: read it from top to bottom.
name: <name>
title: <name>
description: What is predicted, for whom, and what it is used for.
owner: {team: <team>, email: <email>, slack_channel: <slack>}
task: binary

sources:
  rows:
    kind: csv
    path: <file>      # below PENNANT_DATA_MIRROR; add `url:` for a public address
    key: [<key>]
    event_time: {columns: [<time>], format: <format>, time_zone: UTC}
    ahead_days: 7
    groups:
      inputs:
        # Is every one of these known an hour before the event? What is known later goes into its own group.
        known_at: {rule: before_event, hours: 1}
        columns: {<inputs>}
      result:
        known_at: {rule: after_event, hours: <delay>}
        columns: {<labels>}

validation:
  max_quarantined_share: 0.05
  expectations:
    - source: rows
      group: inputs
      expect: ExpectColumnValuesToNotBeNull
      with: {column: <first_input>, mostly: 0.5}
      on_failure: warn
    - source: rows
      group: result
      expect: ExpectColumnValuesToNotBeNull
      with: {column: <first_label>}
      on_failure: quarantine

spine: {source: rows, group: inputs, entity: <key>, lead_hours: 1}
label: {source: rows, group: result, expression: <expression>, delay_hours: <delay>}

features:
<features>

split: {history_days: 3650, fresh_days: 90, folds: 4, embargo_hours: <delay>}

training:
  min_rows: 200
  calibration: platt
  interval_coverage: 0.9
  recency_half_life_days: 730
  search: {trials: 16, workers: 2, minutes: 10, seed: 1}
  members:
    trees:
      kind: xgboost
      search:
        max_depth: {low: 1, high: 4, kind: int}
        learning_rate: {low: 0.01, high: 0.2, log: true}
        n_estimators: {low: 50, high: 300, kind: int}
    linear:
      kind: logistic
      search:
        c: {low: 0.001, high: 10, log: true}

baselines:
  base_rate: {kind: base_rate}

gate:
  metric: log_loss
  policy: superiority
  margin: 0.0
  alpha: 0.05
  min_rows: 150
  max_calibration_error: 0.12
  approval: none

release:
  target: local
  canary_share: 0.3
  min_canary_predictions: 30
  max_error_share: 0.01
  max_mean_shift: 0.25
  canary_deadline_hours: 2

watch:
  window_days: 28
  drift: {method: psi, threshold: 0.25, min_drifted_share: 0.3, min_rows: 50, windows: 3, violations: 2}
  performance: {max_loss_increase: 0.05, min_rows: 50, windows: 3, violations: 2}

healing:
  drift: {action: retrain, cooldown_hours: 336, weekly_budget: 1}
  performance: {action: retrain, cooldown_hours: 336, weekly_budget: 1}

alerts:
  cooldown_hours: 24
  routes: {info: [console], warning: [slack, console], critical: [slack, console]}

schedules:
  start: <start>
  ingest_history: "0 0 1 1 *"
  history_until: <until>
  ingest: "0 0 1 * *"
  score: "0 0 1 * *"
  watch: "0 0 1 * *"
  train: "0 0 1 */3 *"
  features: "0 0 1 */3 *"

replay:
  history_from: <start>
  live_from: <until>
  until: <end>
"""

CODE = '''\
"""Features of {name}: so far the numbers of the row itself. Better ones look at earlier rows."""

import polars as pl

from pennant.features.view import View


def features(view: View) -> pl.DataFrame:
    """One row per request; use_case.yaml has the units."""
    return view.requests.select(
        "entity",
{columns}
    )


def baselines(view: View) -> pl.DataFrame:
    """No declared baseline needs a column: base_rate is the mean label."""
    return view.requests.select("entity")
'''
