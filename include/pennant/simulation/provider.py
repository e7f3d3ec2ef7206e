"""The simulated provider: the league's table as CSV over real HTTP on a loopback port.

It answers conditional requests (ETag, Last-Modified) and, when told so by a plan, misbehaves (see
`pennant.simulation.faults`). It does *not* check who asks.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

from pennant.errors import PennantError
from pennant.simulation.faults import Fault, Plan, Rule
from pennant.simulation.serving import Page, Provider, Request, running
from pennant.simulation.table import publish

__all__ = ["PLANS", "PROVIDERS", "Fault", "Plan", "Provider", "Rule", "UnknownProvider", "run", "serve"]

Tables = dict[str, Callable[[datetime | None], bytes]]

PROVIDERS: Tables = {"league_demo": publish}
"""Use case -> its table as of a moment (None: the end of time)."""

PLANS: dict[str, Plan] = {
    "league_demo": Plan(
        (
            Rule(Fault("status", status=503), share=0.05, part="as_of="),
            Rule(Fault("status", status=429, retry_after=0), share=0.05, part="as_of="),
            Rule(Fault("half_body"), share=0.05, part="as_of="),
            Rule(Fault("dropped"), share=0.02, part="as_of="),
        ),
        seed=7,
    ),
}
"""Use case -> how its provider misbehaves: so that what is shown has been asked for twice now and then, and
mildly, so that it is always had, and is the same as without."""


class UnknownProvider(PennantError):
    """No simulated provider has this name."""

    def __init__(self, name: str, allowed: Sequence[str]) -> None:
        """Keep what was asked for and what there is."""
        self.name, self.allowed = name, list(allowed)
        super().__init__(
            f"no simulated provider for use case {name!r}; there are {', '.join(allowed)}. "
            "Give the source kind csv, or add a provider to pennant.simulation.provider.PROVIDERS"
        )


@contextmanager
def serve(use_case_name: str) -> Iterator[str]:
    """Serve the simulated table of a use case; gives the URL of its CSV.

    The query `?as_of=2025-03-01T00:00:00Z` asks for the table as it stood then.

    Raises:
        UnknownProvider: no such simulation.
    """
    if use_case_name not in PROVIDERS:
        raise UnknownProvider(use_case_name, sorted(PROVIDERS))
    with run(PROVIDERS[use_case_name], PLANS.get(use_case_name, ())) as provider:
        yield provider.url


@contextmanager
def run(
    table: Callable[[datetime | None], bytes],
    plan: Plan | Sequence[Fault | None] = (),
    modified: datetime | None = None,
) -> Iterator[Provider]:
    """Serve any table over HTTP on 127.0.0.1.

    Args:
        table: gives the CSV as of a moment; called once per request that needs a body.
        plan: which requests meet a fault; of a list, the n-th request meets the n-th entry. None, and every
            request after the last entry, is answered well.
        modified: what Last-Modified says of the table at the end of time; default: the first moment of
            2023. A table as of a moment was modified at that moment.
    """
    stamp = modified or datetime(2023, 1, 1, tzinfo=UTC)

    def answers(request: Request) -> Page:
        moment = _as_of(request.params.get("as_of"))
        return Page(table(moment), "text/csv; charset=utf-8", modified=moment or stamp)

    with running(answers, plan) as provider:
        provider.url += "/games.csv"
        yield provider


def _as_of(given: str | None) -> datetime | None:
    if given is None:
        return None
    moment = datetime.fromisoformat(given)
    if moment.tzinfo is None:
        raise ValueError(f"as_of has no time zone: {given}; write 2025-03-01T00:00:00Z")
    return moment.astimezone(UTC)
