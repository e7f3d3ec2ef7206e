"""A new use case, made from a CSV file, loads at once and decides nothing for its owner."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pennant.declaration.loader import load
from pennant.declaration.scaffold import Request, ScaffoldError, create

TABLE = """\
Customer,Day,Tenure,Plan,Active,Score,Home,Away
c1,2023-03-01 10:00,4,basic,true,0.5,1,2
c2,2023-04-01 10:00,14,basic,false,,2,0
c3,2024-04-01 10:00,24,pro,true,1.5,1,1
"""


@pytest.fixture
def request_(tmp_path: Path) -> Request:
    table = tmp_path / "games and more.csv"
    table.write_text(TABLE)
    return Request(
        "churn", table, "Customer", "Day", "Home > Away", 720, "growth", "growth@example.org", "#churn"
    )


def test_what_it_makes_loads(request_: Request, tmp_path: Path) -> None:
    use_case = load(create(request_, tmp_path / "use_cases"))
    source = use_case.sources["rows"]
    assert source.path == "games and more.csv"
    assert source.event_time.format == "%Y-%m-%d %H:%M"
    assert source.groups["inputs"].columns == {
        "Tenure": "int",
        "Plan": "str",
        "Active": "bool",
        "Score": "float",
    }
    assert source.groups["result"].columns == {"Home": "int", "Away": "int"}
    assert use_case.label.delay_hours == source.groups["result"].known_at.hours == 720
    assert {name: each.missing for name, each in use_case.features.items()} == {
        "tenure": "refuse",
        "active": "refuse",
        "score": "allow",
    }


def test_its_features_are_the_numbers_of_the_row(request_: Request, tmp_path: Path) -> None:
    import polars as pl

    from pennant.features.view import View

    folder = create(request_, tmp_path / "use_cases")
    code: dict[str, Any] = {}
    exec((folder / "features.py").read_text(), code)
    requests = pl.DataFrame(
        {"entity": ["c1"], "Tenure": [4], "Plan": ["a"], "Active": [True], "Score": [None]}
    )
    view = View(requests, tables=None, label=None)  # type: ignore[arg-type]  # only the requests are read
    made = code["features"](view)
    assert made.columns == ["entity", *load(folder).features]
    assert set(made.schema.values()) == {pl.String, pl.Float64}
    assert code["baselines"](view).columns == ["entity"]


@pytest.mark.parametrize("names", [("no", "true", "null"), ("on", "yes", "with"), ("x", "A", "class")])
def test_columns_with_awkward_names_keep_them(
    request_: Request, tmp_path: Path, names: tuple[str, ...]
) -> None:
    key, when, label = names
    request_.table.write_text(f"{key},{when},{label},z\na,2023-01-01,1,2.5\n")
    asked = replace(request_, key=key, event_time=when, label=label)
    use_case = load(create(asked, tmp_path / "use_cases"))
    assert use_case.spine.entity == key
    assert use_case.label.expression == label


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"name": "Churn!"}, "NAME"),
        ({"key": "Custommer"}, "--key"),
        ({"event_time": "Dya"}, "--event-time"),
        ({"event_time": "Plan"}, "--event-time"),
        ({"label": "Home - Away"}, "--label"),
        ({"label": "Plan"}, "--label"),
        ({"label": "Home > Nowhere"}, "--label"),
        ({"table": Path("nowhere.csv")}, "--csv"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_made(
    request_: Request, tmp_path: Path, given: dict[str, Any], option: str
) -> None:
    with pytest.raises(ScaffoldError) as caught:
        create(replace(request_, **given), tmp_path / "use_cases")
    assert caught.value.option == option
    assert not (tmp_path / "use_cases").exists()


@pytest.mark.parametrize("text", ["", "a,b\n", "a b,c\n1,2\n", "Customer,Day,Home,Away\nc,2023-01-01,1,0\n"])
def test_a_table_without_rows_names_or_inputs_is_refused(
    request_: Request, tmp_path: Path, text: str
) -> None:
    request_.table.write_text(text)
    with pytest.raises(ScaffoldError) as caught:
        create(request_, tmp_path / "use_cases")
    assert caught.value.option == "--csv"


def test_a_folder_that_is_there_is_left_alone(request_: Request, tmp_path: Path) -> None:
    folder = create(request_, tmp_path / "use_cases")
    before = (folder / "use_case.yaml").read_text()
    with pytest.raises(ScaffoldError) as caught:
        create(replace(request_, team="others"), tmp_path / "use_cases")
    assert caught.value.option == "NAME"
    assert (folder / "use_case.yaml").read_text() == before


def test_a_near_name_is_proposed(request_: Request, tmp_path: Path) -> None:
    with pytest.raises(ScaffoldError) as caught:
        create(replace(request_, key="Custommer"), tmp_path / "use_cases")
    assert caught.value.nearest == "Customer"
