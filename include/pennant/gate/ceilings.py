"""How long a bundle takes for one row in the serving app, and how large it is: measured, never estimated.

The serving app is started as the platform starts it, alone with this bundle, on a port of its own. What is
timed is a whole request over the loopback, with the log that every prediction goes to: what a caller waits.
"""

import json
import os
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import polars as pl

from pennant.data.lake import Lake
from pennant.declaration.model import Gate
from pennant.errors import PennantError
from pennant.gate.outcome import Number, Outcome, Reason
from pennant.gate.score import inputs_of
from pennant.gate.tables import Floats
from pennant.platform import processes, serving
from pennant.platform.faults import ChildDied, NotHealthy
from pennant.platform.ports import LOOPBACK, unused_ports
from pennant.security.signing import PUBLIC_NAME
from pennant.settings import Settings
from pennant_serving.bundle import Bundle

ROWS, WARM_UP, ROUNDS = 300, 50, 3
"""Each round times so many single rows; the median of the rounds counts: one hiccup refuses no model."""
START_SECONDS, REQUEST_SECONDS = 60.0, 10.0
_MEGABYTE = 1_000_000
_CALLER, _PREFIX = "gate", "PENNANT_SERVING_"


class NotServed(PennantError):
    """The serving app did not answer a row of the bundle."""

    def __init__(self, status: int, answer: str) -> None:
        """Keep what it said instead."""
        self.status, self.answer = status, answer
        super().__init__(f"the serving app answered a fresh row with HTTP {status}: {answer[:500]}")


@dataclass(frozen=True)
class Measured:
    """What was measured of one bundle.

    Attributes:
        megabytes: of all its files, in units of 10^6 bytes.
        latency_ms: median over the rounds of the 99th percentile of single rows; None when not measured.
        rounds_ms: each round's.
        rows: timed in each round.
        why_not: why the latency could not be measured; empty when it was, or was not asked for.
    """

    megabytes: float
    latency_ms: float | None = None
    rounds_ms: tuple[float, ...] = ()
    rows: int = 0
    why_not: str = ""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "rounds_ms": list(self.rounds_ms)}


def measured_once(
    lake: Lake, path: str, policy: Gate, bundle: Bundle, folder: Path, fresh: pl.DataFrame, settings: Settings
) -> Measured | None:
    """What the policy limits, measured, and kept in the lake: judging again finds the same figures.

    None when the policy declares no ceiling. What could not be measured is not kept.

    Args:
        lake: where the figures are kept.
        path: under which name.
        policy: the declared gate.
        bundle: the verified bundle.
        folder: where its files lie.
        fresh: rows that the bundle answers.
        settings: where the public key lies.
    """
    if policy.max_latency_ms is None and policy.max_bundle_megabytes is None:
        return None
    if lake.exists(path):
        kept = json.loads(lake.get(lake.uri(path)))
        if policy.max_latency_ms is None or kept["latency_ms"] is not None:
            return Measured(**{**kept, "rounds_ms": tuple(kept["rounds_ms"])})
    found = Measured(megabytes(folder))
    if policy.max_latency_ms is not None:
        found = _timed(found, bundle, folder, fresh, settings)
    if not found.why_not:
        lake.replace(path, json.dumps(found.to_json(), sort_keys=True).encode())
    return found


def ceiling_reasons(policy: Gate, found: Measured | None) -> list[Reason]:
    """Hold over a declared ceiling, and where it could not be measured."""
    reasons: list[Reason] = []
    if found is None:
        return reasons
    if policy.max_bundle_megabytes is not None:
        over = found.megabytes > policy.max_bundle_megabytes
        text = f"The bundle has {found.megabytes:.2f} MB, limit {policy.max_bundle_megabytes:g} MB."
        numbers: dict[str, Number] = {"megabytes": found.megabytes, "limit": policy.max_bundle_megabytes}
        reasons.append(_reason("bundle_too_large" if over else "bundle_small_enough", over, text, numbers))
    if policy.max_latency_ms is None:
        return reasons
    if found.latency_ms is None:
        text = f"How long the bundle takes in the serving app could not be measured: {found.why_not}"
        return [*reasons, _reason("latency_not_measured", True, text, {"limit": policy.max_latency_ms})]
    over = found.latency_ms > policy.max_latency_ms
    spread = ", ".join(f"{each:.1f}" for each in found.rounds_ms)
    text = (
        f"99 of 100 single rows are answered by the serving app within {found.latency_ms:.1f} ms (median of "
        f"rounds of {found.rows} rows: {spread}), limit {policy.max_latency_ms:g} ms."
    )
    numbers = {"latency_ms": found.latency_ms, "limit": policy.max_latency_ms, "rows": found.rows}
    return [*reasons, _reason("too_slow" if over else "fast_enough", over, text, numbers)]


def _reason(code: str, over: bool, text: str, numbers: dict[str, Number]) -> Reason:
    argues: Outcome = "hold" if over else "promote"
    return Reason(code, argues, text, numbers)


def megabytes(folder: Path) -> float:
    """Size of all files of a bundle, in units of 10^6 bytes."""
    return sum(each.stat().st_size for each in folder.rglob("*") if each.is_file()) / _MEGABYTE


def _timed(
    found: Measured, bundle: Bundle, folder: Path, fresh: pl.DataFrame, settings: Settings
) -> Measured:
    if fresh.is_empty():
        return replace(found, why_not="there is no fresh row.")
    absent = [each.name for each in bundle.inputs if each.name not in fresh.columns]
    if absent:
        return replace(found, why_not=f"no fresh row has the inputs {', '.join(absent)}.")
    bodies = _bodies(bundle, fresh)
    try:
        rounds = latencies(bundle.use_case, bodies, folder, settings)
    except ChildDied as error:
        said = error.last_lines[-1] if error.last_lines else "its log is empty"
        return replace(found, why_not=f"it ended with exit code {error.exit_code}: {said}")
    except NotHealthy as error:
        return replace(found, why_not=f"it did not come up within {error.seconds:.0f} s: {error.last}")
    except (NotServed, httpx.HTTPError) as error:
        return replace(found, why_not=f"{type(error).__name__}: {error}")
    median = float(np.median(rounds))
    return replace(found, latency_ms=median, rounds_ms=tuple(rounds), rows=len(bodies))


def _bodies(bundle: Bundle, fresh: pl.DataFrame) -> list[bytes]:
    """`ROWS` requests of one row each, from fresh rows spread evenly, some of them more than once."""
    names = [each.name for each in bundle.inputs]
    values = inputs_of(fresh, names)
    rows = np.linspace(0, len(values) - 1, ROWS).round().astype(np.int64)
    return [_body(bundle.use_case, at, names, values[row]) for at, row in enumerate(rows)]


def _body(use_case: str, number: int, names: list[str], values: Floats) -> bytes:
    features = {
        name: None if np.isnan(value) else float(value) for name, value in zip(names, values, strict=True)
    }
    return json.dumps({"use_case": use_case, "entity": f"gate-{number}", "features": features}).encode()


def latencies(use_case: str, bodies: list[bytes], folder: Path, settings: Settings) -> list[float]:
    """Serve the bundle alone and time single rows; the 99th percentile of each round in milliseconds.

    Raises:
        ChildDied, NotHealthy: the serving app did not come up.
        NotServed: it refused a row.
        httpx.HTTPError: it stopped answering.
    """
    with tempfile.TemporaryDirectory(prefix="pennant-ceilings-") as temporary:
        place = Path(temporary)
        key, port = os.urandom(24).hex(), unused_ports(1)[0]
        serving.keep_hashes(place / "keys.json", {_CALLER: (key, "predict")})
        variables = {
            "HOST": LOOPBACK,
            "PORT": str(port),
            "STATE": str(place / "state"),
            "PUBLIC_KEY": str(settings.secrets / PUBLIC_NAME),
            "KEYS_FILE": str(place / "keys.json"),
        }
        # Nothing of a serving app that runs here may reach this one: not its log, not its warehouse.
        inherited = {name: text for name, text in os.environ.items() if not name.startswith(_PREFIX)}
        environment = inherited | {_PREFIX + name: text for name, text in variables.items()}
        command = [*serving.command(), "--bundle", str(folder.resolve())]
        child = processes.spawn(f"serving of {use_case} for the gate", command, environment, place / "logs")
        try:
            headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
            address = f"http://{LOOPBACK}:{port}"
            with httpx.Client(
                base_url=address, headers=headers, timeout=REQUEST_SECONDS, trust_env=False
            ) as client:
                processes.wait_until(
                    lambda: serving.unhealthy(address, client), child.name, child.log, [child], START_SECONDS
                )
                _round(client, bodies[:WARM_UP])
                return [float(np.percentile(_round(client, bodies), 99)) for _ in range(ROUNDS)]
        finally:
            child.stop()


def _round(client: httpx.Client, bodies: list[bytes]) -> list[float]:
    """Milliseconds of each request."""
    taken = []
    for body in bodies:
        start = time.perf_counter()
        answer = client.post("/api/v2/predict", content=body)
        taken.append((time.perf_counter() - start) * 1000)
        if answer.status_code != httpx.codes.OK:
            raise NotServed(answer.status_code, answer.text)
    return taken
