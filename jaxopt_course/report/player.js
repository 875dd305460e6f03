"use strict";
// Draws each path up to the present moment on a canvas that lies on the picture of the surface.
const race = JSON.parse(document.getElementById("race").textContent);
const byId = (id) => document.getElementById(id);
const canvas = document.querySelector("canvas"), context = canvas.getContext("2d");
const dashes = { solid: [], dashed: [7, 4], dotted: [2, 3], dashdot: [8, 3, 2, 3] };
const last = race.steps.length - 1;
const hidden = new Set();
let moment = 0, playing = true, before = null, rest = 0;

const paper = getComputedStyle(document.documentElement).getPropertyValue("--paper");
document.getElementById("stage").style.maxWidth = `${race.size[0]}px`;
byId("moment").max = last;

function draw() {
  const scale = window.devicePixelRatio || 1, width = canvas.clientWidth, ratio = (scale * width) / race.size[0];
  canvas.width = scale * width;
  canvas.height = ratio * race.size[1];
  context.scale(ratio, ratio);
  context.lineJoin = "round";
  context.lineWidth = 2.2;
  for (const path of race.paths) {
    if (hidden.has(path.line) || !path.points.length) continue;
    const { color, dash } = race.lines[path.line], whole = Math.floor(moment);
    const seen = path.points.slice(0, whole + 1), next = path.points[whole + 1];
    if (next) seen.push([0, 1].map((i) => path.points[whole][i] + (moment - whole) * (next[i] - path.points[whole][i])));
    context.strokeStyle = context.fillStyle = color;
    context.setLineDash(dashes[dash]);
    context.beginPath();
    for (const [x, y] of seen) context.lineTo(x, y);
    context.stroke();
    context.setLineDash([]);
    context.beginPath();
    context.arc(...seen[seen.length - 1], 5, 0, 2 * Math.PI);
    context.fill();
    context.strokeStyle = paper;
    context.save();
    context.lineWidth = 1.2;
    context.stroke();
    context.restore();
  }
  byId("moment").value = Math.floor(moment);
  byId("step").textContent = `step ${race.steps[Math.floor(moment)]}`;
  byId("play").textContent = playing ? "❚❚" : "▶";
}

function tick(now) {
  if (playing) {
    const passed = before === null ? 0 : (now - before) / 1000;
    if (moment >= last) {
      rest += passed;
      if (rest > 1.5) moment = rest = 0;
    } else {
      moment = Math.min(last, moment + (passed * byId("speed").value * last) / race.seconds);
    }
    before = now;
    draw();
    requestAnimationFrame(tick);
  } else {
    before = null;
  }
}

function play(on) {
  const was = playing;
  playing = on;
  if (on && moment >= last) moment = rest = 0;
  draw();
  if (on && !was) requestAnimationFrame(tick);
}

byId("play").addEventListener("click", () => play(!playing));
byId("moment").addEventListener("input", (event) => {
  moment = Number(event.target.value);
  play(false);
});
window.addEventListener("resize", draw);
race.lines.forEach((line, index) => {
  const button = document.createElement("button"), sample = document.createElement("span");
  button.type = "button";
  button.setAttribute("aria-pressed", "true");
  sample.style.borderTopColor = line.color;
  sample.style.borderTopStyle = line.dash === "dashdot" ? "dashed" : line.dash;
  button.append(sample, line.name);
  button.addEventListener("click", () => {
    const shown = hidden.delete(index);
    if (!shown) hidden.add(index);
    button.setAttribute("aria-pressed", String(shown));
    draw();
  });
  byId("legend").append(button);
});
const match = /#step=(\d+)/.exec(location.hash); // a link to one moment
if (match) {
  moment = Math.min(last, Math.max(0, race.steps.findIndex((step) => step >= Number(match[1]))));
  playing = false;
}
draw();
if (playing) requestAnimationFrame(tick);
