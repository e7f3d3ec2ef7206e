"""Which connector reads which kind of source; a provider's module is loaded when it is asked for."""

from importlib import import_module
from typing import TYPE_CHECKING

from pennant.declaration.model import Source

if TYPE_CHECKING:
    from pennant.data.connectors.base import Connector

KINDS = {
    "csv": "generic:Csv",
    "json": "generic:Json",
    "parquet": "generic:Parquet",
    "sql": "generic:Sql",
    "simulation": "generic:Simulation",
    "nflverse": "nflverse:Nflverse",
    "fivethirtyeight": "fivethirtyeight:FiveThirtyEight",
    "football_data": "football_data:FootballData",
    "retrosheet": "retrosheet:Retrosheet",
    "mlb": "mlb:Mlb",
    "telco": "telco:Telco",
    "eth_ucy": "eth_ucy:EthUcy",
    "the_odds_api": "odds_api:OddsApi",
    "espn_scoreboard": "espn:EspnScoreboard",
    "sportradar": "sportradar:Sportradar",
    "prizepicks": "prizepicks:PrizePicks",
}
"""Kind of a source to `module:class` in this package."""


def connector_of(source: Source) -> "Connector":
    """The connector of a source's kind."""
    module, _, name = KINDS[source.kind].partition(":")
    kind = getattr(import_module(f"{__package__}.{module}"), name)
    # Some know more or less of the past, by their options.
    connector: Connector = kind.of(source) if hasattr(kind, "of") else kind()
    return connector


def fallback_of(source: Source) -> Source | None:
    """The source as its declared fallback gives it: same columns, key and groups, another provider."""
    if source.fallback is None:
        return None
    given = source.fallback
    other = {name: getattr(given, name) for name in type(given).model_fields}
    return source.model_copy(update={**other, "fallback": None})


def provider_name(source: Source, *, fallback: bool) -> str:
    """What `Answer.provider` says: the kind of who answered; two of one kind are told apart."""
    if not fallback or source.fallback is None:
        return source.kind
    kind = source.fallback.kind
    return f"{kind}_fallback" if kind == source.kind else kind


def source_of(source: Source, provider: str) -> Source:
    """The source as `provider` (see `Answer.provider`) gives it; for reading its answers."""
    other = fallback_of(source)
    return other if other is not None and provider == provider_name(source, fallback=True) else source
