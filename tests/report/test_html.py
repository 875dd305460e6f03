from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from jaxopt_course.report import budget, html, series

NASTY = "</script><img src=x onerror=\"document.title='owned'\">'&"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Page(HTMLParser):
    """Tags with their attributes, the text of scripts, and the table's rows."""

    def __init__(self, text: str):
        super().__init__()
        self.tags, self.scripts, self.rows, self.text = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data):
        if self.lasttag == "script":
            self.scripts[-1] += data
            return
        self.text.append(data)
        if self.rows and self.rows[-1] and data.strip():
            self.rows[-1][-1] += data.strip()


@pytest.fixture
def page(race) -> Page:
    return Page(html.race_page(race))


@pytest.fixture
def renamed(race):
    """The race with an optimizer and a title that try to break out of the page."""

    def rename(dataset):
        names = [NASTY if name == "adam" else name for name in dataset["optimizer"].values]
        return dataset.assign(optimizer=(dataset["optimizer"].dims, names))

    table = rename(race.table).assign_attrs(title=NASTY, machine=NASTY)
    return dataclasses.replace(race, curves=rename(race.curves), tuning=rename(race.tuning), table=table)


def test_the_page_refers_to_nothing_outside_itself(page):
    assert not [tag for tag, attrs in page.tags if tag in ("link", "img", "iframe") or {"src", "href"} & set(attrs)]
    policy = next(attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy


def test_the_page_carries_plotly_once_and_little_else(race):
    text = html.race_page(race)
    assert text.count("plotly.js v") == 1
    assert len(text) - len(Page(text).scripts[1]) < 120_000


def test_the_table_can_be_read_without_scripts(page, race):
    head, *body = page.rows
    assert head[:3] == ["optimizer", "learning rate", "test accuracy (%)"]
    assert [row[0] for row in body] == race.ranking
    assert body[0][2] == "97.50 ± 0.29"


def test_the_data_are_those_of_the_race_with_null_for_what_diverged(page, race):
    data = json.loads(page.scripts[0])
    assert [quantity["name"] for quantity in data["y"]] == ["validation_loss", "validation_accuracy"]
    assert [x["name"] for x in data["x"]] == ["step", "epoch", "examples", "gradient_evaluations", "seconds"]
    adam, diverged = (next(o for o in data["optimizers"] if o["name"] == name) for name in ("adam", "blows_up"))
    mean = 100 * race.curves["validation_accuracy"].sel(optimizer="adam").mean("seed")
    np.testing.assert_allclose(adam["curve"]["y"]["validation_accuracy"]["mean"], mean, rtol=1e-5)
    assert diverged["curve"]["y"]["validation_loss"]["mean"][19:21] == [pytest.approx(2.3 * np.exp(0.9 * 19), rel=1e-5), None]
    assert sum(adam["search"]["selected"]) == 1
    expected = budget.budget(race.tuning, "adam", "test_accuracy")
    np.testing.assert_allclose(adam["search"]["budget"]["test_accuracy"]["mean"], expected.mean, rtol=1e-5)
    np.testing.assert_allclose(
        adam["search"]["y"]["validation_loss"]["low"][:3], 0.9 * series.sensitivity(race.tuning, "adam").value[:3], rtol=1e-5
    )


def test_text_from_outside_cannot_leave_its_place(renamed):
    text = html.race_page(renamed)
    page = Page(text)
    assert "<img" not in text.replace(page.scripts[1], "").replace(page.scripts[2], "")
    assert len(page.scripts) == 3
    assert NASTY in page.text
    assert NASTY in [o["name"] for o in json.loads(page.scripts[0])["optimizers"]]


@pytest.mark.parametrize("data", ["interrupted", "nothing"])
def test_an_interrupted_race_has_its_page(data, request):
    page = Page(html.race_page(request.getfixturevalue(data)))
    assert any("interrupted" in text for text in page.text)


def test_a_finished_race_has_no_notice(page):
    assert not any("interrupted" in text for text in page.text)


PROBE = """
<script>
const failures = [];
addEventListener("error", (event) => failures.push(event.message));
addEventListener("securitypolicyviolation", (event) => failures.push(event.blockedURI));
</script>
<script id="probe" type="text/plain">
const names = () => [...document.querySelectorAll("tbody th")].map((cell) => cell.textContent);
const header = (title) => [...document.querySelectorAll("thead th")].find((cell) => cell.textContent === title);
const count = () => ["curves", "sensitivity", "budget"].map((id) => document.getElementById(id).data.length);
const sort = (title) => {
  header(title).firstElementChild.click();
  return { names: names(), aria: [...document.querySelectorAll("thead th")].map((cell) => cell.getAttribute("aria-sort")) };
};
const choose = (id, value) => {
  const select = document.getElementById(id);
  select.value = value;
  select.dispatchEvent(new Event("change"));
  return ["xaxis", "yaxis"].map((axis) => document.getElementById("curves").layout[axis].title.text);
};
const chip = (name, options) =>
  document.querySelector(`#legend [data-name="${name}"]`).dispatchEvent(new MouseEvent("click", options));
const seen = { start: names(), all: count() };
seen.rate = sort("learning rate");
seen.rateAgain = sort("learning rate");
seen.name = sort("optimizer");
seen.difference = sort("difference");
chip("sgd"); seen.withoutSgd = count();
chip("adam", { shiftKey: true }); seen.alone = count();
chip("adam", { shiftKey: true }); seen.allAgain = count();
document.getElementById("none").click(); seen.none = count();
document.getElementById("all").click();
const title = () => document.getElementById("budget").layout.yaxis.title.text;
seen.budget = [title(), (choose("split", "validation"), title())];
seen.titles = choose("x", "seconds").concat(choose("y", "validation_accuracy"));
seen.curve = document.getElementById("curves").data[1].x.slice(-1)[0];
seen.buttons = [...new Set([...document.querySelectorAll(".modebar-btn")].map((button) => button.dataset.title))];
seen.failures = failures; seen.title = document.title;
const out = document.createElement("pre");
out.id = "seen"; out.textContent = JSON.stringify(seen);
document.body.append(out);
</script>
"""


def in_chromium(text: str, folder, alone: str = "adam") -> dict:
    """What the probe saw in a headless browser, after checking that the console is clean."""
    start, script = PROBE.replace('"adam"', f'"{alone}"').split('<script id="probe" type="text/plain">')
    path = folder / "page.html"
    path.write_text(text.replace("<body>", "<body>" + start).replace("</body>", f"<script>{script}</body>"))
    command = [
        *(CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
        *("--disable-component-update", "--disable-sync", "--disable-quic", f"--user-data-dir={folder / 'profile'}"),
        *("--enable-logging=stderr", "--v=0", "--virtual-time-budget=8000", "--dump-dom", path.as_uri()),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert ":CONSOLE" not in done.stderr
    found = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout, re.DOTALL)
    return json.loads(found[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs chromium")
def test_the_page_works_in_a_browser(race, tmp_path):
    seen = in_chromium(html.race_page(race), tmp_path)
    assert seen["failures"] == []
    rates = race.table["learning_rate"].to_series().drop("line_search").sort_values()
    assert seen["rate"]["names"] == [*rates.index, "line_search"]
    assert seen["rateAgain"]["names"] == [*rates.index[::-1], "line_search"]
    assert (seen["rate"]["aria"][1], seen["rateAgain"]["aria"][1]) == ("ascending", "descending")
    assert seen["name"]["names"] == sorted(race.optimizers)
    assert [aria for aria in seen["name"]["aria"] if aria] == ["ascending"]
    assert seen["difference"]["names"] == race.ranking == seen["start"]
    assert seen["all"] == seen["allAgain"] == [2 * 15 + 1, 2 * 15, 15]
    assert seen["withoutSgd"] == [2 * 14 + 1, 2 * 14, 14]
    assert (seen["alone"], seen["none"]) == ([2, 2, 2], [0, 0, 0])
    assert seen["budget"] == ["expected test loss", "expected validation loss"]
    assert seen["titles"][0].startswith("seconds of training")
    assert seen["titles"][3] == "validation accuracy (%)"
    assert seen["curve"] == pytest.approx(float(race.curves["seconds"].sel(optimizer="sgd")[:, -1].mean()), rel=1e-5)
    assert not [title for title in seen["buttons"] if re.search("cloud|share|edit", title, re.IGNORECASE)]


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="needs chromium")
def test_hostile_names_stay_text_in_a_browser(renamed, tmp_path):
    seen = in_chromium(html.race_page(renamed), tmp_path, alone="nadam")
    assert seen["title"] == NASTY
    assert NASTY in seen["start"]
