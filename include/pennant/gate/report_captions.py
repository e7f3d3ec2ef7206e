"""What the plots of each task show, in words: what is good, and what the colours mean."""

CALIBRATION = {
    "binary": (
        "Where a point lies on the diagonal, probabilities mean what they say. "
        "Bars: 95% of what chance alone would do."
    ),
    "multiclass": (
        "Where a point lies on the diagonal, a class's probability means what it says. "
        "Bars: 95% of what chance alone would do."
    ),
    "count": (
        "Left: flat bars are right; a hill in the middle says that forecasts are too wide, high ends "
        "that they are too narrow, a slope that they are off. Right: below the diagonal, intervals hold too "
        "little."
    ),
    "regression": (
        "Left: each dot is a row, the line the mean of each tenth of them. Right: how often the served "
        "intervals held what came; below the dashed line they are too narrow, above it too wide."
    ),
    "trajectory": (
        "Left: how far forecasts lie from the walker, step by step. Right: how often the walker was "
        "inside the challenger's disc of a step."
    ),
}
SCORES_TITLE = {
    "binary": "Predictions by outcome",
    "multiclass": "Predictions by outcome",
    "count": "Counts, seen and foretold",
    "regression": "Errors",
    "trajectory": "A few paths",
}
SCORES = {
    "binary": (
        "Rows that came true are blue, the others orange. The further the colours lie apart, the more the "
        "model knows."
    ),
    "multiclass": (
        "What a class was given when it came (blue) and when another one did (orange). The further the "
        "colours lie apart, the more the model knows."
    ),
    "count": "Left: how often each count came, and how often forecasts say it does. Right: expected counts.",
    "regression": "Left: errors, the largest 0.5% put at the edge. Right: errors against the prediction.",
    "trajectory": "Blue: foretold, with the served discs of some steps. Orange: what was walked.",
}
