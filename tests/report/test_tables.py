from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from jaxopt_course.report import tables


def table_lines(data):
    lines = tables.race_table(data).splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("optimizer"))
    return lines[start], lines[start + 2 : start + 2 + data.table.sizes["optimizer"]]


def test_the_table_is_aligned_and_best_first(race):
    head, body = table_lines(race)
    assert {len(line) for line in body} == {len(head)}
    assert head.split("  ")[0] == "optimizer"
    assert [line.split()[0] for line in body] == race.ranking


def test_a_row_has_rate_interval_difference_p_and_seconds(race):
    _, body = table_lines(race)
    row = race.table.sel(optimizer="nesterov")
    margin = 50 * float(row["test_accuracy_high"] - row["test_accuracy_low"])
    assert body[2].split() == [
        "nesterov", f"{float(row['learning_rate']):.3g}", f"{100 * float(row['test_accuracy']):.2f}", "±", f"{margin:.2f}",
        "-1.04", "0.030", f"{float(row['run_seconds']):.2f}", f"{float(row['compile_seconds']):.2f}",
    ]  # fmt: skip
    assert "best" in body[0]


def test_what_is_missing_is_a_dash(race):
    _, body = table_lines(race)
    assert body[-1].split()[2:5] == ["–", "–", "–"]
    assert next(line for line in body if line.startswith("line_search")).split()[1] == "–"


def test_the_summary_claims_no_more_than_the_tests(race):
    text = tables.summary(race)
    assert "Best test accuracy: sgd, 97.50 ± 0.29 %." in text
    assert "Not distinguishable from it: momentum." in text
    assert "Without a finite result: blows_up." in text
    untested = race.table.assign(p_value=race.table["p_value"] * np.nan)
    assert "significantly" not in tables.summary(dataclasses.replace(race, table=untested))
    clear = race.table.assign(p_value=race.table["p_value"] * 1e-4)
    assert "Every other optimizer differs" in tables.summary(dataclasses.replace(race, table=clear))


def test_a_race_by_loss_ranks_the_lowest_first(race):
    table = race.table.assign_attrs(metric="loss", lower_is_better=True)
    head, body = table_lines(dataclasses.replace(race, table=table))
    assert "test loss" in head
    assert "%" not in head
    assert body[0].split()[:3] == ["sgd", f"{float(table.sel(optimizer='sgd')['learning_rate']):.3g}", "0.0775"]


def test_one_seed_has_no_interval(race):
    table = race.table.assign({f"test_accuracy_{end}": race.table["test_accuracy"] * np.nan for end in ("low", "high")})
    assert "±" not in tables.race_table(dataclasses.replace(race, table=table))


@pytest.mark.parametrize("value", [0.0, 1e-9, 3.2e12])
def test_extreme_losses_stay_short(race, value):
    table = race.table.assign_attrs(metric="loss", lower_is_better=True)
    names = ("test_loss", "test_loss_low", "test_loss_high")
    data = dataclasses.replace(race, table=table.assign({name: table[name] * 0 + value for name in names}))
    assert max(map(len, tables.race_table(data).splitlines())) < 110


def test_an_interrupted_race_says_so(race, interrupted, nothing):
    assert "interrupted" not in tables.race_table(race)
    assert "interrupted" in tables.race_table(interrupted)
    assert "No optimizer has a finite result." in tables.race_table(nothing)


@pytest.mark.parametrize(
    ("seeds", "said"), [(2, "interval over seeds (few: 2, so it is wide); p:"), (5, "interval over seeds; p:")]
)
def test_intervals_of_few_seeds_are_said_to_be_wide(race, seeds, said):
    table = race.table.assign_attrs(seeds=seeds)
    assert said in tables.summary(dataclasses.replace(race, table=table))
