"""`pennant gate certify` and `pennant gate explain`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pennant.cli.output import Json, answer, load_settings

if TYPE_CHECKING:
    from pennant.gate.certificate import Certificate
    from pennant.gate.outcome import Verdict

Name = Annotated[str, typer.Argument(metavar="USE_CASE", help="Name of the use case.")]
Simulations = Annotated[int, typer.Option(min=50, help="Judgements per planted scenario.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same certificate.")]
Uri = Annotated[
    str, typer.Argument(metavar="EVIDENCE", help="The evidence's address in the lake, or its hash.")
]

_DEMANDS = {"at_most": "at most", "at_least": "at least", "always": "always"}


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    gate = typer.Typer(no_args_is_help=True, help="The gate: its certificate, and why it said what it said.")
    gate.command()(certify)
    gate.command()(explain)
    app.add_typer(gate, name="gate")


def certify(
    use_case: Name, simulations: Simulations = 2000, seed: Seed = 20240229, as_json: Json = False
) -> None:
    """Put the gate, under this use case's policy, through challengers whose worth is planted.

    Exit code 1 when a scenario fails. Example: pennant gate certify league_demo --simulations 2000
    """
    from pennant.declaration.loader import load_modelled
    from pennant.gate.baselines import required_baselines
    from pennant.gate.certificate import certify as measure

    declared = load_modelled(load_settings().use_cases / use_case)
    made = measure(declared.gate, required_baselines(declared), simulations, seed)
    answer({"use_case": use_case, **made.to_json()}, _certificate(use_case, made), as_json)
    if not made.passed:
        raise typer.Exit(1)


def explain(use_case: Name, evidence: Uri, as_json: Json = False) -> None:
    """Show a verdict that was kept, with its reasons and numbers; the hash of the evidence is verified.

    Example: pennant gate explain league_demo 3f0c...e1
    """
    from pennant.data.lake import Lake
    from pennant.gate.evidence import load_evidence
    from pennant.reference import Reference

    lake = Lake(load_settings().lake)
    sha256 = evidence.rsplit("/", 1)[-1].removesuffix(".json")
    kept = Reference(lake.uri(f"reports/{use_case}/gate/{sha256}.json"), sha256)
    data, verdict = load_evidence(lake, kept)
    answer(data, _verdict(data, verdict), as_json)


def _certificate(use_case: str, made: "Certificate") -> str:
    lines = [
        f"Gate of {use_case}: {made.policy}, alpha {made.alpha:g}; {made.simulations} judgements of "
        f"{made.rows} rows per scenario; intervals 99 %",
        "",
    ]
    for rate in made.rates:
        limit = f"{_DEMANDS[rate.demand]} {rate.limit:.3f}" if rate.demand != "always" else "always"
        lines.append(
            f"{'ok  ' if rate.passed else 'FAIL'}  {rate.scenario:20} {rate.counted:8} "
            f"{rate.rate:.4f} [{rate.low:.4f}, {rate.high:.4f}]  {limit:16} {rate.planted}"
        )
    end = "The gate is certified." if made.passed else f"NOT certified: {', '.join(made.failed)}."
    return "\n".join([*lines, "", end])


def _verdict(data: Mapping[str, Any], verdict: "Verdict") -> str:
    marks = {"promote": "+", "hold": "!", "refuse": "x"}
    champion = data["champion"]
    against = f"champion version {champion['version']}" if champion else "no champion"
    head = (
        f"{data['use_case']} version {data['challenger']['version']} against {against}, "
        f"as of {data['as_of']}: {verdict.outcome.upper()}"
    )
    return "\n".join(
        [head, *(f"  {marks[each.argues_for]} {each.text} [{each.code}]" for each in verdict.reasons)]
    )
