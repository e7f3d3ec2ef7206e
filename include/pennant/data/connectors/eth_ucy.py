"""Pedestrians of the ETH and UCY recordings: one file each, tab separated, without a header.

A line is `frame pedestrian x y`, x and y in metres on the ground; frames step by ten and count 0.4 s. The
literature (Social-GAN's loader) numbers the frames that are listed and steps over the ones that are not: so
does `step` here, and a pedestrian's steps in a row are what it counts as observed.
"""

from typing import Literal

import polars as pl

from pennant.data.connectors.base import Answer, Ask
from pennant.data.parsing import csv_table
from pennant.declaration.model import Source
from pennant.reference import Window

SCENES = {
    "biwi_eth": "eth",
    "biwi_hotel": "hotel",
    "students001": "univ",
    "students003": "univ",
    "crowds_zara01": "zara1",
    "crowds_zara02": "zara2",
}
"""The scene of the literature's five folds that a recording tests."""
TRAIN_ONLY = "train_only"
RECORDINGS = (*SCENES, "crowds_zara03", "uni_examples")
STEPS_PER_RECORDING = 216_000
"""A day of steps of 0.4 s: so far apart do recordings begin, in their declared order."""
OPTIONS = ("recordings",)


class EthUcy:
    """Option `recordings`: names of the files, without `.txt`, below `url` and `path`.

    Adds to each row `recording`, `scene`, `walker` (`<recording>/<pedestrian>`), `sample`
    (`<recording>/<pedestrian>/<frame>`), `step` (which of the recording's listed frames), `tick` (`step`, and
    `STEPS_PER_RECORDING` more for each recording before this one) and `observed` (how many steps in a row the
    pedestrian has been listed).
    """

    kind = "eth_ucy"
    history: Literal["full", "today"] = "full"
    connection: str | None = None

    def problems(self, source: Source) -> list[str]:
        """What is wrong with the source's options and addresses, in words; empty if nothing is."""
        found = [
            f"eth_ucy knows no option {name!r}; allowed: {', '.join(OPTIONS)}"
            for name in source.options
            if name not in OPTIONS
        ]
        names = _recordings(source)
        if not names:
            found.append("option recordings: found nothing; allowed: a list of " + ", ".join(RECORDINGS))
        found += [
            f"option recordings: found {name!r}; allowed: {', '.join(RECORDINGS)}"
            for name in names
            if name not in RECORDINGS
        ]
        if len(set(names)) < len(names):
            found.append(f"option recordings: found one twice in {', '.join(names)}; allowed: each once")
        if source.url is None and source.path is None:
            found.append("eth_ucy needs the address of a folder: url, path, or both")
        return found

    def asks(self, source: Source, window: Window) -> list[Ask]:  # noqa: ARG002  # whole files every time
        """One file per recording."""
        return [
            Ask(
                part=name,
                url=f"{source.url.rstrip('/')}/{name}.txt" if source.url else None,
                path=f"{source.path.rstrip('/')}/{name}.txt" if source.path else None,
            )
            for name in _recordings(source)
        ]

    def read(self, source: Source, answer: Answer) -> pl.DataFrame:
        """The rows of one recording as text, with the added columns.

        A frame or pedestrian that is no number leaves `step`, `tick` and `observed` empty.

        Raises:
            SourceMalformed: the body is no table.
        """
        table = csv_table(answer, separator="\t", columns=["frame", "pedestrian", "x", "y"])
        begin = _recordings(source).index(answer.part) * STEPS_PER_RECORDING
        numbered = _numbered(table)
        recording = pl.lit(answer.part)
        walker = pl.concat_str(recording, _whole("pedestrian"), separator="/")
        return numbered.select(
            "line",
            "misfit",
            pl.concat_str(walker, _whole("frame"), separator="/").alias("sample"),
            walker.alias("walker"),
            recording.alias("recording"),
            pl.lit(SCENES.get(answer.part, TRAIN_ONLY)).alias("scene"),
            _whole("frame").alias("frame"),
            pl.col("step").cast(pl.String),
            (pl.col("step") + begin).cast(pl.String).alias("tick"),
            pl.col("observed").cast(pl.String),
            "x",
            "y",
        )


def _recordings(source: Source) -> list[str]:
    given = source.options.get("recordings", [])
    return given if isinstance(given, list) else []


def _numbered(table: pl.DataFrame) -> pl.DataFrame:
    """Add `step` and `observed`, from the frames that can be read; rows stay in their order."""
    rows = table.with_columns(
        pl.col("frame").cast(pl.Float64, strict=False).alias("_frame"),
        pl.col("pedestrian").cast(pl.Float64, strict=False).alias("_pedestrian"),
    ).with_row_index("_row")
    sound = rows.filter(pl.col("misfit").is_null(), pl.col("_frame").is_not_null())
    sound = sound.filter(pl.col("_pedestrian").is_not_null())
    listed = sound.select(pl.col("_frame").unique().sort()).with_row_index("step")
    steps = sound.select("_row", "_frame", "_pedestrian").join(listed.cast({"step": pl.Int64}), on="_frame")
    steps = steps.sort("_pedestrian", "step", "_row")
    gap = pl.col("step").diff().over("_pedestrian") > 1
    steps = steps.with_columns(gap.fill_null(value=False).cum_sum().over("_pedestrian").alias("_run"))
    since = pl.col("step") - pl.col("step").min().over("_pedestrian", "_run")
    steps = steps.select("_row", "step", (since + 1).alias("observed"))
    return rows.join(steps, on="_row", how="left", maintain_order="left")


def _whole(column: str) -> pl.Expr:
    """A number such as `780.0` as `780`; anything else as it stands."""
    return pl.col(column).str.strip_chars().str.replace(r"^(-?\d+)\.0*$", "$1")
