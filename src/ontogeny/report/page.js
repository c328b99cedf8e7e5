"use strict";
const actions = { export: { svg: true, png: true }, source: false, compiled: false, editor: false };
const room = (holder) => Math.max(240, Math.min(692, holder.parentElement.clientWidth || 692));

function fitted(spec, width) {
  const meta = spec.usermeta || {};
  if (meta.fit) {
    const plot = Math.max(120, Math.min(spec.width || 480, width - meta.fit));
    if (spec.vconcat) spec.vconcat.forEach((part) => { part.width = Math.min(part.width, plot); });
    else spec.width = plot;
  }
  if (meta.columns) spec.columns = Math.max(1, Math.min(spec.columns, Math.floor((width - 100) / meta.columns)));
  return spec;
}

/* The same pictures with another ruler: tokens or epochs at the places of their steps. */
const axisForm = document.getElementById("axis-form");
const rulers = axisForm ? JSON.parse(document.getElementById("axis-data").textContent) : {};
const LARGE = [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]];

function short(number) {
  const [size, letter] = LARGE.find(([s]) => number >= s) || [1, ""];
  return Number((number / size).toPrecision(2)) + letter;
}

function between(x, xs, ys) {
  const at = Math.min(Math.max(1, xs.findIndex((v) => v >= x)), xs.length - 1);
  return x > xs[xs.length - 1] || x < xs[0] ? NaN : ys[at - 1] + (ys[at] - ys[at - 1]) * (x - xs[at - 1]) / (xs[at] - xs[at - 1]);
}

function marksOf(ruler, most, last) {
  const top = Math.min(ruler.seen[ruler.seen.length - 1], between(last, ruler.steps, ruler.seen) || Infinity);
  const found = [];
  for (let e = -3; e < 16; e++) found.push({ seen: 10 ** e, step: between(10 ** e, ruler.seen, ruler.steps) });
  const known = found.filter((m) => m.step >= 1 && m.seen <= top);
  const every = Math.ceil(known.length / Math.max(1, most - 1));
  return [...(ruler.seen[0] === 0 ? [{ seen: 0, step: 0 }] : []), ...known.filter((_, i) => (known.length - 1 - i) % every === 0)];
}

function ruled(part) {
  const unit = axisForm && axisForm.elements.axis.value;
  if (!unit || !part || typeof part !== "object") return part;
  if (part.scale && part.scale.type === "symlog" && part.axis) {
    const marks = marksOf(rulers[unit], part.axis.values.length, part.scale.domain[1]);
    part.axis = { ...part.axis, values: marks.map((m) => m.step), labelFlush: false,
                  labelExpr: JSON.stringify(Object.fromEntries(marks.map((m) => [m.step, short(m.seen)]))) + "[datum.value]" };
    if (part.title) part.title = part.title.replace("training step", unit);
  }
  if (part.text && part.step !== undefined) {
    const named = (t) => t.replace(/step [\d,]+/, () => `${short(between(part.step, rulers[unit].steps, rulers[unit].seen))} ${unit}`);
    part.text = Array.isArray(part.text) ? part.text.map(named) : named(part.text);
  }
  Object.values(part).forEach(ruled);
  return part;
}

function draw(holder, spec) {
  spec = ruled({ ...spec, usermeta: { ...spec.usermeta, embedOptions: {} } });
  return vegaEmbed(holder, fitted(spec, room(holder)), { renderer: "svg", actions, downloadFileName: holder.id }).then(
    (made) => { holder.dataset.state = "drawn"; return made; },
    (error) => {
      holder.dataset.state = "failed";
      holder.classList.add("chart-error");
      holder.textContent = error;
    });
}

const specs = [...document.querySelectorAll("div.chart[data-spec]")];
function drawAll() {
  for (const holder of specs) {
    const spec = JSON.parse(document.getElementById(holder.dataset.spec).textContent);
    draw(holder, spec).then((made) => {
      if (made && holder.dataset.picks) made.view.addEventListener("click", (_, item) => {
        if (item && item.datum && item.datum.region) pick(item.datum.region);
      });
    });
  }
}
drawAll();

/* Explorer: any run, metric, region and layer. */
const source = document.getElementById("curves-data");
const everything = source ? JSON.parse(source.textContent).runs : [];
const form = document.getElementById("explorer-form");
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
const INK = "#1c2833", GREY = "#5d6d7e", BAND = "#f6e3a1";

function decoded(panel) {
  if (!panel.cells) {
    const values = new Uint16Array(bytes(panel.value).buffer), errors = bytes(panel.error);
    const [low, high] = panel.range, count = panel.steps.length;
    panel.cells = panel.layers.flatMap((layer, i) => panel.steps.map((step, k) => {
      const q = values[i * count + k];
      if (q === 65535) return null;
      return { layer, short: panel.short[i], i, k, step, depth: panel.layers.length > 1 ? i / (panel.layers.length - 1) : 0,
               value: low + (high - low) * q / 65534, SE: panel.most * errors[i * count + k] / 254, n: panel.n };
    }).filter(Boolean));
  }
  return panel.cells;
}

const view = (p) => [p.benchmark, p.metric, p.pooling].filter(Boolean).join(" · ");
const chosen = () => Object.fromEntries([...form.elements].filter((e) => e.name).map((e) => [e.name, e.value]));

function fill(name, values, keep) {
  const list = form.elements[name], before = keep ?? list.value;
  list.replaceChildren(...values.map((value) => new Option(value, value)));
  if (values.includes(before)) list.value = before;
  list.parentElement.hidden = values.length < 2;
}

function choices(keep = {}) {
  fill("run", everything.map((r) => r.run), keep.run);
  const panels = everything.find((r) => r.run === form.elements.run.value).panels;
  fill("view", [...new Set(panels.map(view))], keep.view);
  const own = panels.filter((p) => view(p) === form.elements.view.value);
  fill("roi", own.map((p) => p.roi), keep.roi);
  const panel = own.find((p) => p.roi === form.elements.roi.value);
  fill("layer", ["all layers", ...panel.layers], keep.layer);
  return panel;
}

function scaled(panel, share) {
  const zero = panel.chance ?? 0, top = panel.ceiling[1];
  const f = (v) => v === null || v === undefined ? null : share ? (v - zero) / (top - zero) : v;
  return { f, unit: share ? "share of the ceiling" : panel.unit };
}

function stepAxis(steps, title) {
  const last = Math.max(1, ...steps), values = [0];
  for (let v = 1; v <= last; v *= 10) values.push(v);
  return { field: "step", type: "quantitative", title,
           scale: { type: "symlog", constant: 1, domain: [0, last], nice: false },
           axis: { values, labelFlush: true, labelExpr: "datum.value < 1000 ? datum.value : datum.value / 1000 + 'k'" } };
}

function ruler(panel) {
  const ends = [panel.short[0], panel.short[panel.short.length - 1]].map((t) => "'" + t.replace(/[\\'\n]/g, "") + "'");
  return { field: "depth", type: "quantitative",
           scale: { scheme: { name: "viridis", extent: [0, 0.88] }, domain: [0, 1] },
           legend: { type: "gradient", title: "layer", values: [0, 1], gradientLength: 110,
                     labelExpr: `datum.value == 0 ? ${ends[0]} : ${ends[1]}` } };
}

function curveSpec(panel, pick, config) {
  const { f, unit } = scaled(panel, pick.scale === "share");
  const rows = decoded(panel).map((c) => ({ ...c, value: f(c.value), low: f(c.value - c.SE), high: f(c.value + c.SE),
                                            ceiling: panel.ceiling[1] }));
  const one = pick.layer === "all layers" ? rows : rows.filter((c) => c.layer === pick.layer);
  const lines = [["chance", panel.chance, [2, 3]], [panel.baseline && panel.baseline[0] + " alone", panel.baseline && panel.baseline[1], [6, 4]]]
    .filter(([, v]) => v !== null && v !== undefined).map(([name, v, dash]) => ({ name, value: f(v), dash: String(dash) }));
  const moving = panel.controls.flatMap((c) => c.value.map((v, k) => ({ name: c.name, step: c.step[k], value: f(v) }))).filter((r) => r.value !== null);
  const x = stepAxis(panel.steps, "training step (log scale)");
  const y = { field: "value", type: "quantitative", title: unit, scale: { zero: false } };
  const format = pick.scale === "share" ? ".1%" : ".3f";
  const tooltip = [{ field: "layer" }, { field: "step", type: "quantitative" },
    ...["value", "SE", "ceiling"].map((n) => ({ field: n, type: "quantitative", format: n === "value" ? format : ".3f" })),
    { field: "n", type: "quantitative", title: "subjects" }];
  const [low, high] = panel.ceiling.map(f), layer = [];
  if (high !== null) layer.push({ data: { values: [{ low: low ?? high, high }] }, mark: { type: "rect", color: BAND, opacity: 0.55 },
    encoding: { y: { ...y, field: "low" }, y2: { field: "high" } } });
  if (lines.length) layer.push({ data: { values: lines }, mark: { type: "rule", color: GREY },
    encoding: { y, strokeDash: { field: "dash", scale: { domain: ["2,3", "6,4"], range: [[2, 3], [6, 4]] }, legend: null }, tooltip: [{ field: "name" }, { field: "value", type: "quantitative", format }] } });
  if (moving.length) layer.push({ data: { values: moving }, mark: { type: "line", color: GREY, strokeWidth: 1, point: { size: 8, color: GREY } },
    encoding: { x, y, detail: { field: "name" }, tooltip: [{ field: "name" }, { field: "value", type: "quantitative", format }] } });
  if (one !== rows) layer.push({ data: { values: one }, mark: { type: "area", opacity: 0.2 }, encoding: { x, y: { ...y, field: "low" }, y2: { field: "high" }, color: { ...ruler(panel), legend: null } } });
  const colour = ruler(panel), detail = { field: "layer" };
  layer.push({ data: { values: one }, mark: { type: "line", strokeWidth: one === rows ? 1.4 : 2.5 }, encoding: { x, y, color: colour, detail, tooltip } },
             { data: { values: one }, mark: { type: "circle", size: 60, opacity: 0, color: INK }, encoding: { x, y, detail, tooltip } });
  return { ...config, width: 480, height: 280, usermeta: { fit: 150 }, layer,
           description: `${panel.roi}, ${view(panel)}: alignment of each layer over training.` };
}

function mapSpec(panel, pick, config) {
  const { f, unit } = scaled(panel, pick.scale === "share");
  const cells = decoded(panel), at = new Map(cells.map((c) => [c.i + "," + c.k, c])), steps = panel.steps;
  const u = steps.map((s) => Math.log10(s + 1));
  const edge = [0, ...steps.slice(1).map((_, k) => 10 ** ((u[k] + u[k + 1]) / 2) - 1), steps[steps.length - 1] + (steps.length < 2)];
  if (steps[0] > 0) edge[0] = steps[0];
  const base = panel.baseline ? panel.baseline[1] : null, lines = [], best = [];
  const above = (i, k) => { const c = at.get(i + "," + k); return c ? c.value > base : false; };
  if (base !== null) for (let i = 0; i < panel.layers.length; i++) for (let k = 0; k < steps.length; k++) {
    if (k + 1 < steps.length && above(i, k) !== above(i, k + 1)) lines.push({ x: edge[k + 1], x2: edge[k + 1], y: i - 0.5, y2: i + 0.5 });
    if (i + 1 < panel.layers.length && above(i, k) !== above(i + 1, k)) lines.push({ x: edge[k], x2: edge[k + 1], y: i + 0.5, y2: i + 0.5 });
  }
  steps.forEach((step, k) => {
    const column = cells.filter((c) => c.k === k).sort((a, b) => b.value - a.value)[0];
    if (column && (base === null || column.value > base)) best.push({ step, y: column.i });
  });
  const rows = cells.map((c) => ({ ...c, shown: f(c.value), x: edge[c.k], x2: (edge[c.k + 1] + 1) * 1.01 - 1, y: c.i - 0.5, y2: c.i + 0.53, ceiling: panel.ceiling[1] }));
  const tops = [panel.ceiling[0] ?? panel.ceiling[1]].filter((v) => v !== null).map(f);
  const values = rows.map((r) => r.shown), top = tops[0] ?? Math.max(...values), bottom = f(panel.chance) ?? Math.min(...values);
  const x = { ...stepAxis(steps, "training step (log scale)"), field: "x" };
  const n = panel.layers.length, every = Math.ceil(n / 14), ticks = panel.layers.map((_, i) => i).filter((i) => i % every === 0 || i === n - 1);
  const names = JSON.stringify(panel.short);
  const y = { field: "y", type: "quantitative", title: "layer, input to output", scale: { domain: [-0.5, n - 0.5], nice: false },
              axis: { values: ticks, labelExpr: `${names}[datum.value]`, labelLimit: 110 } };
  const place = { x, x2: { field: "x2" }, y, y2: { field: "y2" } };
  const colour = { field: "shown", type: "quantitative", scale: { scheme: "cividis", domain: [bottom, top], clamp: true }, legend: { type: "gradient", title: unit, gradientLength: 110 } };
  const tooltip = [{ field: "layer" }, { field: "step", type: "quantitative" }, ...["value", "SE", "ceiling"].map((m) => ({ field: m, type: "quantitative", format: ".3f" })), { field: "n", type: "quantitative", title: "subjects" }];
  return { ...config, width: 480, height: Math.min(420, Math.max(90, 16 * n)), usermeta: { fit: 150 },
    description: `${panel.roi}, ${view(panel)}: layer by step.`, layer: [
      { data: { values: rows }, mark: { type: "rect", clip: true }, encoding: { ...place, color: colour, tooltip } },
      { data: { values: lines }, mark: { type: "rule", color: "white", strokeWidth: 1.5 }, encoding: place },
      { data: { values: best }, mark: { type: "line", color: "#ff9d5c", interpolate: "step", strokeWidth: 1.5 }, encoding: { x: { ...x, field: "step" }, y } }] };
}

function redraw(keep) {
  const panel = choices(keep), config = JSON.parse(document.getElementById("look").textContent), pick = chosen();
  const share = form.elements.scale.querySelector('[value="share"]');
  share.disabled = panel.ceiling[1] === null;
  if (share.disabled) form.elements.scale.value = pick.scale = "unit";
  return Promise.all([draw(document.getElementById("explorer-curves"), curveSpec(panel, pick, config)),
                      draw(document.getElementById("explorer-map"), mapSpec(panel, pick, config))]);
}

function pick(roi) {
  redraw({ roi });
  document.getElementById("curves").scrollIntoView({ behavior: "smooth" });
}

if (form && everything.length) {
  form.addEventListener("change", () => redraw());
  form.addEventListener("submit", (event) => event.preventDefault());
  redraw(form.dataset);
}

if (axisForm) axisForm.addEventListener("change", () => {
  drawAll();
  if (form && everything.length) redraw();
});

/* Films: one frame of a tall picture, chosen by a slider; print shows the chosen one. */
for (const film of document.querySelectorAll(".film")) {
  const names = JSON.parse(film.dataset.frames), image = film.querySelector("img"), part = film.querySelector(".window");
  const input = film.querySelector("input"), output = film.querySelector("output");
  const show = () => {
    const place = Number(input.value);
    image.style.transform = `translateY(${(-100 * place) / names.length}%)`;
    output.textContent = names[place];
  };
  part.classList.add("one");
  part.style.aspectRatio = `${image.getAttribute("width")} / ${image.getAttribute("height") / names.length}`;
  part.style.maxWidth = `${image.getAttribute("width")}px`;
  film.querySelector("label").hidden = false;
  input.addEventListener("input", show);
  show();
}

/* Tables: sorted by a click on a heading, filtered by a word. */
for (const table of document.querySelectorAll("table.numbers")) {
  const body = table.tBodies[0], rows = [...body.rows];
  const number = (text) => { const found = /-?\d*\.?\d+(e-?\d+)?/.exec(text.replace(/,/g, "").replace("−", "-")); return found ? Number(found[0]) : NaN; };
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      [...table.tHead.rows[0].cells].forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const key = (row) => row.cells[place].textContent;
      rows.sort((a, b) => {
        const [x, y] = [number(key(a)), number(key(b))];
        const order = isNaN(x) || isNaN(y) ? key(a).localeCompare(key(b)) : x - y;
        return down ? -order : order;
      });
      body.replaceChildren(...rows);
    });
  });
  const filter = table.parentElement.previousElementSibling;
  if (filter && filter.matches("label.filter")) filter.querySelector("input").addEventListener("input", (event) => {
    const word = event.target.value.toLowerCase();
    for (const row of rows) row.hidden = !row.textContent.toLowerCase().includes(word);
  });
}
addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details")) part.open = true;
  for (const row of document.querySelectorAll("table.numbers tr[hidden]")) row.hidden = false;
});
