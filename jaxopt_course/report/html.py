"""A race as one HTML file: interactive curves, sensitivity, budget, sortable table. It never touches the network.

The page carries plotly.js, its data as JSON, `page.css` and `page.js`; a content security policy forbids it to load anything
else. All text that comes from the data is escaped. The table can be read without JavaScript.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from jaxopt_course.report import budget, schema, series, style, tables
from jaxopt_course.report.schema import Abscissa, RaceData, label

if TYPE_CHECKING:
    import xarray as xr

__all__ = ["race_page"]

_BAND = ("mean", "low", "high")
_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; form-action 'none'"


def race_page(data: RaceData) -> str:
    """The page of a race, self-contained, about 5 MB (plotly.js).

    Args:
        data: the race.

    Returns:
        An HTML document. It follows the reader's light or dark setting.
    """
    from plotly.offline import get_plotlyjs

    attrs = data.attrs
    settings = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in tables.settings(data).items())
    chips = "".join(
        f'<button type="button" data-name="{escape(name)}" aria-pressed="true"><span data-sample="{escape(name)}"></span>'
        f"{escape(name)}</button>"
        for name in data.optimizers
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(str(attrs["title"]))}</title>
<style>{_asset("page.css")}</style>
</head>
<body>
<main>
<h1>{escape(str(attrs["title"]))}</h1>
{f'<p class="incomplete" role="status">{tables.INTERRUPTED}</p>' if attrs["incomplete"] else ""}
<p>{escape(tables.summary(data))}</p>
<dl>{settings}</dl>
<div class="controls">
<label>against {_select("x", {name: label(name) for name in get_args(Abscissa)})}</label>
<label>show {_select("y", {name: label(name) for name in schema.quantities(data.curves)})}</label>
<div id="legend">{chips}<button type="button" id="all">all</button><button type="button" id="none">none</button></div>
</div>
<h2>Learning curves</h2>
<p class="note">Mean over seeds, in a band from the lowest to the highest; a curve ends in a cross where a seed diverges.
Click an optimizer above to hide it, shift-click to see it alone.</p>
<div id="curves" class="plot"></div>
<section id="tuning">
<h2>Learning-rate sensitivity</h2>
<p class="note">The result at the end of training with each learning rate{_ranged(data)}. The large point was selected, by
{escape(label(str(attrs["selection"])))}; a cross at the edge diverged.</p>
<div id="sensitivity" class="plot"></div>
<h2>Tuning budget</h2>
<p class="note">What an optimizer is expected to reach with the best of so many of its learning rates, chosen by
{escape(label(str(attrs["selection"])))}: the mean over all orders of trying them; where at most four are shown, in a band from
the 10&nbsp;% to the 90&nbsp;% quantile. After a rate that ends worse than it began, one keeps the model before training.</p>
<label class="choice">on the {_select("split", _splits(data))}</label>
<div id="budget" class="plot"></div>
</section>
<h2>Results on the test set</h2>
<p class="note">Click a column to sort by it.</p>
<div class="scroll">{_table(data)}</div>
</main>
<script id="race" type="application/json">{_json(_payload(data))}</script>
<script>{get_plotlyjs()}</script>
<script>{_asset("page.js")}</script>
</body>
</html>
"""


def _asset(name: str) -> str:
    return resources.files("jaxopt_course.report").joinpath(name).read_text(encoding="utf-8")


def _select(identifier: str, options: dict[str, str]) -> str:
    listed = "".join(f'<option value="{escape(name)}">{escape(text)}</option>' for name, text in options.items())
    return f'<select id="{identifier}" autocomplete="off">{listed}</select>'


def _ranged(data: RaceData) -> str:
    ranged = any(str(name).endswith("_low") for name in data.tuning.data_vars)
    return ": mean over the tuning seeds, in a band from the lowest to the highest" if ranged else ""


def _splits(data: RaceData) -> dict[str, str]:
    """The splits that budgets can be read on; the test split first, if the search evaluated it."""
    found = dict.fromkeys(name.partition("_")[0] for name in budget.metrics(data.tuning))
    return {name: f"{name} split" for name in sorted(found)}


def _table(data: RaceData) -> str:
    rows = tables.cells(data)
    if not rows:
        return ""
    ranked = f"test {label(data.attrs['metric'])}"
    best_first = "ascending" if data.attrs["lower_is_better"] else "descending"
    head = ""
    for title, cell in rows[0].items():
        kind = "text" if isinstance(cell.value, str) else "number"
        first = best_first if title in (ranked, "difference") else "ascending"
        aria = f' aria-sort="{best_first}"' if title == ranked else ""
        button = f'<button type="button">{escape(title)}</button>'
        head += f'<th scope="col" data-kind="{kind}" data-first="{first}"{aria}>{button}</th>'
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row.values())}</tr>\n" for row in rows)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}</tbody>\n</table>"


def _cell(cell: tables.Cell) -> str:
    if isinstance(cell.value, str):
        name = escape(cell.value)
        return f'<th scope="row" data-value="{name}"><span data-sample="{name}"></span>{escape(cell.text)}</th>'
    value = repr(cell.value) if np.isfinite(cell.value) else ""
    return f'<td data-value="{value}">{escape(cell.text)}</td>'


def _payload(data: RaceData) -> dict[str, Any]:
    """What `page.js` draws."""
    names = data.optimizers
    lines = {theme: style.lines(names, theme) for theme in get_args(style.Theme)}
    return {
        "x": [{"name": x, "label": label(x), "unit": x.replace("_", " ")} for x in get_args(Abscissa)],
        "y": _axes(data.curves, series.loss_range, series.loss_label),
        "tuned": _axes(data.tuning, series.sensitivity_range, lambda _, name: label(name)),
        "budget": [
            {"name": name, "label": label(name), "range": budget.budget_range(data.tuning, name, data.attrs["selection"])}
            for name in budget.metrics(data.tuning)
        ],
        "colors": {theme: [line.color for line in each.values()] for theme, each in lines.items()},
        "optimizers": [
            {
                "name": name,
                "line": at,
                "dash": lines["light"][name].dash,
                "curve": _curve(data, name) if name in data.curves["optimizer"] else None,
                "search": _search(data, name) if name in data.tuning["optimizer"] else None,
            }
            for at, name in enumerate(names)
        ],
    }


def _axes(
    dataset: xr.Dataset,
    limits: Callable[[xr.Dataset, str], tuple[float, float] | None],
    labels: Callable[[xr.Dataset, str], str],
) -> list[dict[str, Any]]:
    names = schema.quantities(dataset)
    return [{"name": name, "label": labels(dataset, name), "range": limits(dataset, name)} for name in names]


def _curve(data: RaceData, optimizer: str) -> dict[str, Any]:
    names = schema.quantities(data.curves)
    against = {x: series.seed_band(data.curves, optimizer, x, names[0]).x for x in get_args(Abscissa)}
    bands = {name: series.seed_band(data.curves, optimizer, "step", name) for name in names}
    return {
        "x": {x: _numbers(values) for x, values in against.items()},
        "y": {name: {part: _numbers(getattr(band, part)) for part in _BAND} for name, band in bands.items()},
    }


def _search(data: RaceData, optimizer: str) -> dict[str, Any]:
    found: dict[str, Any] = {"y": {}, "budget": {}}
    for name in schema.quantities(data.tuning):
        rates, values, low, high, selected = series.sensitivity(data.tuning, optimizer, name)
        drawn, crosses = series.to_the_edge(values, series.bad_edge(data.tuning, name))
        found |= {"rate": _numbers(rates), "selected": selected.tolist()}
        ends = {"low": _numbers(low), "high": _numbers(high)} if _ranged(data) else {}
        found["y"][name] = {"drawn": _numbers(drawn), "crosses": crosses.tolist(), **ends}
    reached = {
        name: budget.budget(data.tuning, optimizer, name, data.attrs["selection"]) for name in budget.metrics(data.tuning)
    }
    found["budget"] = {name: {part: _numbers(getattr(own, part)) for part in _BAND} for name, own in reached.items()}
    return found


def _numbers(values: np.ndarray) -> list[float | None]:
    """Six digits are more than a screen shows; JSON has no NaN."""
    return [float(f"{value:.6g}") if np.isfinite(value) else None for value in values]


def _json(payload: Any) -> str:
    """JSON that may stand in a script element: ``<`` never appears in it."""
    return json.dumps(payload, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
