"use strict";
// Draws the race from the data embedded in the page. `state` is all that the controls change; `draw` shows it.
const race = JSON.parse(document.getElementById("race").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const state = { x: race.x[0].name, y: race.y[0].name, split: race.budget.at(-1)?.name.split("_")[0], hidden: new Set() };
const DASHES = { solid: "", dashed: "6 4", dotted: "2 3", dashdot: "8 3 2 3" };
const PLOTLY_DASHES = { solid: "solid", dashed: "6px,4px", dotted: "2px,3px", dashdot: "8px,3px,2px,3px" };
const CONFIG = { responsive: true, displaylogo: false, plotlyServerURL: "", modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] };

const color = (optimizer) => race.colors[dark.matches ? "dark" : "light"][optimizer.line];
const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const byName = (list, name) => list.find((item) => item.name === name);
const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;"); // Plotly reads some HTML in its labels

function axis(label, range = null) { // logarithmic where a range is given
  return {
    title: { text: escaped(label), standoff: 12, font: { size: 13 } }, tickfont: { size: 12 },
    ...(range && { type: "log", range: range.map(Math.log10), tickformat: "~g", nticks: 3 }),
    gridcolor: css("--grid"), linecolor: css("--muted"), zeroline: false, automargin: true,
  };
}

function layout(xaxis, yaxis) {
  return {
    xaxis, yaxis, paper_bgcolor: "transparent", plot_bgcolor: "transparent", showlegend: false, hovermode: "closest",
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: css("--muted") },
    margin: { l: 64, r: 16, t: 32, b: 52 }, uirevision: state.x + state.y,
    modebar: { bgcolor: "transparent", color: css("--muted"), activecolor: css("--ink") },
  };
}

const line = (optimizer) => ({ color: color(optimizer), dash: PLOTLY_DASHES[optimizer.dash], width: 2 });
const shown = () => race.optimizers.filter((optimizer) => !state.hidden.has(optimizer.name));

function ribbon(optimizer, x, low, high) { // a band, where it has both ends
  const at = x.map((_, i) => i).filter((i) => low[i] !== null && high[i] !== null && x[i] !== null);
  const [across, bottom, top] = [x, low, high].map((list) => at.map((i) => list[i]));
  return {
    x: across.concat([...across].reverse()), y: top.concat(bottom.reverse()),
    fill: "toself", fillcolor: color(optimizer) + "24", line: { width: 0 }, mode: "lines", hoverinfo: "skip",
  };
}

function drawCurves() {
  const y = byName(race.y, state.y);
  const traces = shown().filter((optimizer) => optimizer.curve).flatMap((optimizer) => {
    const x = optimizer.curve.x[state.x];
    const { mean, low, high } = optimizer.curve.y[state.y];
    const finite = mean.map((value, i) => i).filter((i) => mean[i] !== null && x[i] !== null);
    const end = finite.at(-1);
    const band = ribbon(optimizer, x, low, high);
    const curve = {
      x, y: mean, customdata: low.map((value, i) => [value, high[i]]), mode: "lines", line: line(optimizer),
      hovertemplate: `<b>${escaped(optimizer.name)}</b> %{y:.4g}<br>seeds %{customdata[0]:.4g} to %{customdata[1]:.4g}` +
        `<br>${byName(race.x, state.x).unit} %{x:.6~g}<extra></extra>`,
    };
    const cross = {
      x: [x[end]], y: [mean[end]], mode: "markers", marker: { symbol: "x", size: 10, color: color(optimizer) },
      hovertemplate: `<b>${escaped(optimizer.name)}</b>: a seed diverges<extra></extra>`,
    };
    return end === undefined ? [] : end < mean.length - 1 ? [band, curve, cross] : [band, curve];
  });
  Plotly.react("curves", traces, layout(axis(byName(race.x, state.x).label), axis(y.label, y.range)), CONFIG);
}

function drawSensitivity() {
  const y = byName(race.tuned, state.y);
  document.getElementById("tuning").hidden = !y;
  if (!y) return;
  const rates = race.optimizers.flatMap((optimizer) => optimizer.search?.rate ?? []);
  const ends = [Math.min(...rates) / 1.5, Math.max(...rates) * 1.5];
  const traces = shown().filter((optimizer) => optimizer.search).flatMap((optimizer) => {
    const { rate, y: values, selected } = optimizer.search;
    const { drawn, crosses, low, high } = values[state.y];
    const marks = {
      color: color(optimizer), opacity: 1, symbol: crosses.map((cross) => (cross ? "x" : "circle")),
      size: crosses.map((cross, i) => (cross ? 9 : selected[i] ? 13 : 5)),
      line: { color: css("--paper"), width: selected.map((chosen) => (chosen ? 1.5 : 0)) },
    };
    const seeds = (i) => (low ? ` (seeds ${low[i]?.toPrecision(4)} to ${high[i]?.toPrecision(4)})` : "");
    const text = crosses.map((cross, i) =>
      (cross ? "diverged" : drawn[i]?.toPrecision(4) + seeds(i)) + (selected[i] ? ", selected" : ""));
    const grid = {
      x: rate, y: drawn, text, mode: "lines+markers", line: line(optimizer), marker: marks, cliponaxis: false,
      hovertemplate: `<b>${escaped(optimizer.name)}</b> %{text}<br>learning rate %{x:.3g}<extra></extra>`,
    };
    const level = {
      x: ends, y: [drawn[0], drawn[0]], mode: "lines", line: line(optimizer),
      hovertemplate: `<b>${escaped(optimizer.name)}</b> %{y:.4g}<br>no learning rate<extra></extra>`,
    };
    const band = low && (rate.length ? ribbon(optimizer, rate, low, high) : ribbon(optimizer, ends, [low[0], low[0]], [high[0], high[0]]));
    return [...(band ? [band] : []), rate.length ? grid : level];
  });
  const horizontal = { ...axis("learning rate", rates.length ? ends : [0.1, 1]), dtick: 1 };
  Plotly.react("sensitivity", traces, layout(horizontal, axis("final " + y.label, y.range)), CONFIG);
}

function drawBudget() {
  const name = state.y.replace("validation_", state.split + "_");
  const y = byName(race.budget, name);
  if (!y) return;
  const most = Math.max(2, ...race.optimizers.map((optimizer) => optimizer.search?.rate.length ?? 0));
  const traces = shown().filter((optimizer) => optimizer.search).flatMap((optimizer) => {
    const { mean, low, high } = optimizer.search.budget[name];
    const tried = mean.map((_, i) => i + 1);
    const level = !optimizer.search.rate.length;
    const curve = {
      x: level ? [1, most] : tried, y: level ? [mean[0], mean[0]] : mean, mode: level ? "lines" : "lines+markers",
      line: line(optimizer), marker: { size: 5, color: color(optimizer) }, cliponaxis: false,
      customdata: level ? [] : low.map((value, i) => [value, high[i]]),
      hovertemplate: `<b>${escaped(optimizer.name)}</b> %{y:.4g}` + (level ? "<br>no learning rate" :
        "<br>best of %{x}; 80 % of orders: %{customdata[0]:.4g} to %{customdata[1]:.4g}") + "<extra></extra>",
    };
    return level || shown().length > 4 ? [curve] : [ribbon(optimizer, tried, low, high), curve];
  });
  const horizontal = { ...axis("learning rates tried"), dtick: 1, range: [0.9, most + 0.1] };
  Plotly.react("budget", traces, layout(horizontal, axis("expected " + y.label, y.range)), CONFIG);
}

function sample(optimizer) {
  return `<svg width="26" height="8" aria-hidden="true"><line x1="0" x2="26" y1="4" y2="4" stroke="${color(optimizer)}"` +
    ` stroke-width="2.5" stroke-dasharray="${DASHES[optimizer.dash]}"/></svg>`;
}

function drawLegend() {
  for (const holder of document.querySelectorAll("[data-sample]"))
    holder.innerHTML = sample(byName(race.optimizers, holder.dataset.sample));
  for (const button of document.querySelectorAll("#legend button[data-name]"))
    button.setAttribute("aria-pressed", !state.hidden.has(button.dataset.name));
}

function draw() {
  drawLegend();
  drawCurves();
  drawSensitivity();
  drawBudget();
}

function toggle(name) {
  if (!state.hidden.delete(name)) state.hidden.add(name);
  draw();
}

function isolate(name) {
  const others = race.optimizers.map((optimizer) => optimizer.name).filter((other) => other !== name);
  const alone = !state.hidden.has(name) && others.every((other) => state.hidden.has(other));
  state.hidden = new Set(alone ? [] : others);
  draw();
}

function sortBy(header) {
  const table = header.closest("table");
  const column = [...header.parentNode.children].indexOf(header);
  const before = header.getAttribute("aria-sort");
  const direction = before ? (before === "ascending" ? "descending" : "ascending") : header.dataset.first;
  for (const other of header.parentNode.children) other.removeAttribute("aria-sort");
  header.setAttribute("aria-sort", direction);
  const sign = direction === "ascending" ? 1 : -1;
  const value = (row) => row.children[column].dataset.value;
  const compare = header.dataset.kind === "text"
    ? (a, b) => sign * value(a).localeCompare(value(b))
    : (a, b) => (value(a) === "") - (value(b) === "") || sign * (value(a) - value(b)); // what is missing comes last
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort(compare));
}

for (const axisName of ["x", "y", "split"])
  document.getElementById(axisName).addEventListener("change", (event) => { state[axisName] = event.target.value; draw(); });
for (const button of document.querySelectorAll("#legend button[data-name]")) {
  button.addEventListener("click", (event) => event.shiftKey ? isolate(button.dataset.name) : toggle(button.dataset.name));
}
document.getElementById("all").addEventListener("click", () => { state.hidden.clear(); draw(); });
document.getElementById("none").addEventListener("click", () => {
  state.hidden = new Set(race.optimizers.map((optimizer) => optimizer.name));
  draw();
});
for (const header of document.querySelectorAll("thead th")) header.firstElementChild.addEventListener("click", () => sortBy(header));
dark.addEventListener("change", draw);
draw();
