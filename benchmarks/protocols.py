"""What is measured for `docs/results.md`: spans, options, and what each figure stands for."""

KICK_OFF = ("--variant", "at_kick_off")
PROTOCOLS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "nfl_games": ("2018-09-01", "2025-03-01", ()),
    "nfl_games with the closing prices": ("2018-09-01", "2025-03-01", KICK_OFF),
    "epl_matches without the match's own prices": ("2019-07-01", "2025-07-01", ("--members", "goals")),
    "epl_matches": ("2019-07-01", "2025-07-01", ()),
    "epl_matches with the closing prices": ("2019-07-01", "2025-07-01", KICK_OFF),
    "mlb_strikeouts from counts alone": ("2025-07-15", "2025-10-01", ("--variant", "from_counts")),
    "mlb_strikeouts": ("2025-07-15", "2025-10-01", ()),
    "mlb_strikeouts with the last lines": ("2025-07-15", "2025-10-01", ("--variant", "at_the_line")),
    "mlb_strikeouts with the last prices": ("2025-07-15", "2025-10-01", ("--variant", "at_first_pitch")),
    "telco_churn": ("2017-01-01", "2020-01-01", ()),
    "pedestrian_paths": ("2009-01-01", "2010-06-01", ()),
}
"""First moment, last moment, options. Customers and paths have no order in time: the span says nothing."""

WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "nfl_games": (
        "Seasons 2018 to 2024, each predicted one hour before kick-off by a model trained before it. "
        "Ties are left out. No price of the game itself is a feature; the lines of earlier games are. "
        "Constants were chosen on seasons to 2017. There the expected line lies 2.0 points from the "
        "closing line (root mean square), from 2018 on 2.2: a forecast that far from the market's "
        "loses about .009 to it on average. Faster memories, a short-lived part of a team's rating, "
        "new coaches and ridge ratings of expected points brought it no nearer on the earlier "
        "seasons, so nothing was added.",
        ("log_loss", "brier", "auc"),
    ),
    "nfl_games with the closing prices": (
        "The same games at kick-off: three parts moneyline, one part spread, in logits, weights "
        "chosen on 2006 to 2017. Measured once.",
        ("log_loss", "brier", "auc"),
    ),
    "epl_matches without the match's own prices": (
        "Seasons 2019/20 to 2024/25, one hour before kick-off, from the clubs' strengths alone: "
        "goals, shots and the closing prices of their earlier matches. The market is Pinnacle's "
        "closing price, which nobody has at that hour.",
        ("rps", "log_loss", "brier"),
    ),
    "epl_matches": (
        "The same, and the bookmakers' mean prices of some days before, mixed by weights of earlier seasons.",
        ("rps", "log_loss", "brier"),
    ),
    "epl_matches with the closing prices": (
        "The same matches at kick-off: Pinnacle's and the market's mean closing prices, each without "
        "its margin by a power, half and half. The power is the best of three ways on 2012/13 to "
        "2018/19; the market's mean is told from 2019/20 on only, so that the halves are no choice "
        "from results. Measured once.",
        ("rps", "log_loss", "brier"),
    ),
    "mlb_strikeouts from counts alone": (
        "Starts from 15 July to 28 September 2025, trained on what was known on 15 July, without any "
        "price. The line of the table is the consensus of the last prices before the first pitch, one "
        "for each start; pushes are left out. The sentence below the intervals has every bookmaker's "
        "own line.",
        ("log_loss", "crps", "line_log_loss"),
    ),
    "mlb_strikeouts": (
        "The same starts; the prices of that morning are features. They are told since June 2025: "
        "six weeks of the five years that are trained on have any.",
        ("log_loss", "crps", "line_log_loss"),
    ),
    "mlb_strikeouts with the last lines": (
        "The same starts, from the bookmakers' last lines before the first pitch and form: a quarter "
        "of form, in logarithms, by the prices of 3 June to 14 July. What is asked for over and under "
        "is not read. Looked at twice: the first weight of form, .35, came from another way to score.",
        ("log_loss", "crps", "line_log_loss"),
    ),
    "mlb_strikeouts with the last prices": (
        "The same starts, from the last prices before the first pitch: the bookmakers' mean, moved on "
        "by a quarter of its way since the first price, by the prices of 3 June to 14 July. Where "
        "there is no price (a start in four) form stands in.",
        ("log_loss", "crps", "line_log_loss"),
    ),
    "telco_churn": (
        "Five folds of customers, evenly by class; everything chosen inside the other four. Parted into "
        "folds in other ways, the same customers give a log loss up to .002 away.",
        ("log_loss", "auc", "brier"),
    ),
    "pedestrian_paths": (
        "Leave one scene out, every window with a whole future, lone walkers too. 8 steps seen, 12 "
        "predicted, metres. Best of 20 rewards breadth; the energy score is the proper one.",
        ("ade", "fde", "best_ade", "best_fde", "energy_score"),
    ),
}

CLOSER = """## Mixing one's own model into a closing line

It hardly helps. On the NFL's seasons of 2006 to 2017 a fifth of the own expected line, in logits, takes
.0004 from the closing moneyline's log loss (standard error .0004), with constants that were fitted on
these seasons; weights fitted season by season out of sample cost .0009. On the Premier League's of
2012/13 to 2018/19 neither the clubs' strengths nor the opening prices take anything from Pinnacle's
close. What helps a little is a better reading of prices: a second market on the same event, a better way
to take the margin out, several bookmakers in place of one, and, for strikeouts, the way that prices have
gone. All of it is within what these seasons can tell from luck, but for the last, against single
bookmakers.
"""
