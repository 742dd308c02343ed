"use strict";
(() => {
  // The colours of Okabe and Ito that show on white and on black.
  const COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A8F94", "#B8A900"];
  const HOVER = "<extra></extra>";
  const dialog = document.getElementById("dialog");
  const content = dialog.querySelector(".content");
  const title = document.getElementById("dialog-title");

  // Packed parts of the page ---------------------------------------------------------------------------------------

  async function unpack(id) {
    const packed = atob(document.getElementById(id).textContent.trim());
    const bytes = Uint8Array.from(packed, (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  }

  /** A function that does its work once, whenever it is first wanted. */
  function once(make) {
    const made = new Map();
    return (key) => {
      if (!made.has(key)) made.set(key, make(key));
      return made.get(key);
    };
  }

  const readIndex = once(async () => JSON.parse(await unpack("index")));
  const readModel = once(async (id) => JSON.parse(await unpack(`model-${id}`)));
  const library = once(async () => {
    const script = document.createElement("script");
    script.textContent = await unpack("library");
    document.head.append(script);
    return window.Plotly;
  });

  // Elements, whose text is always text ----------------------------------------------------------------------------

  function make(tag, properties = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  function facts(pairs) {
    const shown = Object.entries(pairs).filter(([, value]) => value !== null && value !== undefined);
    return make("dl", { class: "facts" }, ...shown.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, text(value))]));
  }

  function text(value) {
    if (typeof value === "number") return Number.isInteger(value) ? value.toLocaleString("en") : String(Number(value.toPrecision(6)));
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  }

  function duration(seconds) {
    if (seconds === undefined || seconds === null) return "";
    if (seconds < 60) return `${seconds.toFixed(0)} s`;
    return seconds < 3600 ? `${Number((seconds / 60).toFixed(1))} min` : `${Number((seconds / 3600).toFixed(1))} h`;
  }

  function command(line) {
    return make("div", { class: "command" }, make("code", {}, line), make("button", { type: "button", class: "copy", "aria-label": "Copy the command" }, "Copy"));
  }

  function picker(options, change) {
    const select = make("select", { onchange: () => change(select.value) }, ...options.map(([value, name]) => make("option", { value }, name)));
    return select;
  }

  document.addEventListener("click", async ({ target }) => {
    const copy = target.closest(".copy");
    if (!copy) return;
    const code = copy.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      copy.textContent = "Copied";
    } catch {
      // Some browsers give a file from disk no clipboard: leave the line selected.
      getSelection().selectAllChildren(code);
      copy.textContent = "Selected";
    }
    setTimeout(() => { copy.textContent = "Copy"; }, 1500);
  });

  // Charts ---------------------------------------------------------------------------------------------------------

  const ink = () => getComputedStyle(document.body).color;
  const axis = (more) => ({ gridcolor: "#8884", zeroline: false, automargin: true, ...more });
  const layout = (more) => ({
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false, hovermode: "closest",
    margin: { l: 50, r: 12, t: 30, b: 42 }, font: { family: "system-ui, sans-serif", size: 12, color: ink() },
    // A finger on a chart scrolls the page.
    dragmode: matchMedia("(pointer: coarse)").matches ? false : "zoom",
    modebar: { bgcolor: "rgba(0,0,0,0)", color: "#888a", activecolor: "#888" }, ...more,
  });
  const config = (buttons) => ({ responsive: true, displaylogo: false, modeBarButtons: [buttons] });
  const FLAT = config(["zoom2d", "pan2d", "resetScale2d", "toImage"]);
  const DEEP = config(["orbitRotation", "pan3d", "resetCameraDefault3d", "toImage"]);

  async function drawCurves(div, note, name, models, entry) {
    const thinned = models.map((model) => model.curves[name]?.epochs ?? []).find((epochs) => epochs.at(-1) > epochs.length);
    note.textContent = thinned ? `${thinned.length} of ${thinned.at(-1)} epochs are drawn.` : "";
    const factor = name === entry.measure && entry.percent ? 100 : 1;
    const traces = models.flatMap((model, index) => {
      const curve = model.curves[name];
      if (!curve) return [];
      const values = curve.values.map((value) => (value === null ? null : value * factor));
      return [{
        x: curve.epochs, y: values, name: `seed ${model.seed}`, mode: curve.epochs.length > 1 ? "lines" : "markers",
        connectgaps: true, line: { width: 1.5, color: COLOURS[index % COLOURS.length] },
        hovertemplate: `seed ${model.seed}, epoch %{x}: %{y:.4g}${HOVER}`,
      }];
    });
    const printed = name === entry.measure && entry.printed !== null ? entry.printed * factor : null;
    const updates = models.find((model) => model.updates)?.updates;
    const per = updates ? ` (${updates.toLocaleString("en")} updates of the generator each)` : "";
    const shapes = printed === null ? [] : [{ type: "line", xref: "paper", x0: 0, x1: 1, y0: printed, y1: printed, line: { dash: "dash", width: 1, color: "#888" } }];
    const annotations = printed === null ? [] : [{ xref: "paper", x: 1, y: printed, text: "paper", showarrow: false, xanchor: "right", yanchor: "bottom" }];
    const Plotly = await library();
    const unit = factor === 100 ? ", %" : "";
    await Plotly.react(div, traces, layout({ shapes, annotations, xaxis: axis({ title: { text: `epoch${per}` } }), yaxis: axis({ title: { text: (name === entry.measure ? entry.column : name) + unit } }) }), FLAT);
  }

  function decode(points, data) {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const levels = new DataView(bytes.buffer);
    const n = bytes.length / 2 / points.dim;
    return Array.from({ length: points.dim }, (_, d) => Array.from({ length: n }, (_, i) => {
      const level = levels.getUint16(2 * (d * n + i), true);
      return level ? ((level - 1) / (points.levels - 1) * 2 - 1) * points.reach : null;
    }));
  }

  const NAMES = ["x", "y", "z"];
  const spread = (columns) => Object.fromEntries(columns.map((column, d) => [NAMES[d], column]));

  async function drawPoints(div, points, coordinates) {
    const deep = points.dim === 3;
    const range = [-points.reach, points.reach];
    const centres = NAMES.slice(0, points.dim).map((_, d) => points.centres.map((centre) => centre[d]));
    const type = deep ? "scatter3d" : "scatter";
    const one = points.dim === 1 ? { y: coordinates[0].map(() => 0) } : {};
    const traces = [
      { type, mode: "markers", ...spread(centres), ...(points.dim === 1 ? { y: centres[0].map(() => 0) } : {}), marker: { symbol: "circle-open", size: deep ? 5 : 13, color: "#999", line: { width: 1 } }, hovertemplate: `mode${HOVER}` },
      { type, mode: "markers", ...spread(coordinates), ...one, marker: { size: deep ? 1.5 : 3, color: "#2f8fd0", opacity: .8 }, hovertemplate: `(%{x:.3g}, %{y:.3g}${deep ? ", %{z:.3g}" : ""})${HOVER}` },
    ];
    const scene = Object.fromEntries(NAMES.map((name) => [`${name}axis`, { range, color: ink(), gridcolor: "#8886", zeroline: false, showspikes: false, showbackground: false, title: { text: "" } }]));
    const axes = deep ? { scene: { ...scene, aspectmode: "cube", dragmode: "orbit" }, margin: { l: 0, r: 0, t: 0, b: 0 } } : { xaxis: axis({ range, constrain: "domain" }), yaxis: axis({ range, scaleanchor: "x", constrain: "domain" }), margin: { l: 34, r: 8, t: 30, b: 28 } };
    const Plotly = await library();
    await Plotly.react(div, traces, layout(axes), deep ? DEEP : FLAT);
  }

  /** Pictures of one model: the moments of its training as a film, the end of it first. */
  function film(model) {
    const points = model.points;
    const stages = points ? [...points.frames, points.last] : model.images;
    if (!stages) return make("p", { class: "remark" }, model.no_pictures ?? "No samples are stored.");
    const last = stages.length - 1;
    const said = make("output", {});
    const div = points ? make("div", { class: "chart" }) : make("img", { class: "pixels", alt: `Samples of ${model.label}, seed ${model.seed}` });
    let timer = null;
    const show = async (index) => {
      const stage = stages[index];
      const end = index === last ? "end: " : "";
      said.textContent = `${end}epoch ${stage.epoch.toLocaleString("en")}`;
      if (!points) { div.src = stage.image; return; }
      await drawPoints(div, points, decode(points, stage.data));
    };
    const slider = make("input", { type: "range", min: 0, max: last, value: last, "aria-label": "Moment of the training", oninput: () => show(Number(slider.value)) });
    const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
    const step = () => {
      if (!play.isConnected || Number(slider.value) >= last) { stop(); return; }
      slider.value = Number(slider.value) + 1;
      show(Number(slider.value));
    };
    const play = make("button", { type: "button", class: "step", onclick: () => {
      if (timer) { stop(); return; }
      slider.value = 0;
      show(0);
      play.textContent = "Pause";
      timer = setInterval(step, 400);
    } }, "Play");
    const counted = (data) => atob(data).length / 2 / points.dim;
    const note = points ? `${counted(points.last.data).toLocaleString("en")} of ${points.of.toLocaleString("en")} samples${last ? `, ${counted(points.frames[0].data)} at earlier moments` : ""}; circles: the data’s modes` : "";
    requestAnimationFrame(() => show(last));
    return make("div", {}, div, last ? make("div", { class: "film" }, play, slider, said) : null, make("p", { class: "remark" }, note));
  }

  // An entry -------------------------------------------------------------------------------------------------------

  function open(name) {
    title.textContent = name;
    content.replaceChildren();
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    title.focus();
  }

  function status(model) {
    if (model.status === "diverged") return `diverged at iteration ${model.diverged_at}`;
    return model.status === "failed" ? `failed: ${model.reason}` : model.status;
  }

  function value(model, entry) {
    const found = model.measures[entry.measure];
    if (found === null || found === undefined) return "none";
    return (entry.percent ? found * 100 : found).toFixed(entry.digits);
  }

  /** The address of an open entry can be passed on. */
  function address(id) {
    history.replaceState(null, "", id ? `#entry/${encodeURI(id)}` : location.href.replace(/#.*/, ""));
  }

  async function openEntry(id, curve) {
    const entry = (await readIndex()).entries[id];
    if (!entry) return;
    address(id);
    open(`${entry.row}: ${entry.column}`);
    const models = await Promise.all(entry.models.map(readModel));
    const sign = document.querySelector(`.verdict.${entry.tone} .sign`)?.textContent ?? "";
    const verdict = entry.tone === "none" ? null : make("span", { class: `verdict ${entry.tone}` }, make("span", { class: "sign", "aria-hidden": "true" }, sign), entry.verdict);
    const summary = make("p", {}, make("b", {}, entry.ours), entry.paper ? ` beside ${entry.paper} in the paper ` : " ", verdict ?? "");
    const fluctuation = entry.fluctuation && make("p", { class: "remark" }, `Over the last tenth of its evaluations the value of a model fluctuates by ${entry.fluctuation} (standard deviation).`);
    const below = make("div");
    const rows = models.map((model, index) => make("tr", {},
      make("td", {}, make("span", { class: "key", style: `background:${COLOURS[index % COLOURS.length]}` }), String(model.seed)),
      make("td", { class: "n" }, value(model, entry)),
      make("td", {}, status(model) + (model.stale ? ", stale" : "")),
      make("td", { class: "n" }, duration(model.cost.seconds)),
      make("td", {}, make("button", { type: "button", class: "step", onclick: () => choose(index), "aria-label": `Show the model of seed ${model.seed}` }, "Show"), make("code", { class: "wide" }, ` ${model.id}`))));
    const heads = ["seed", entry.column, "status", "training", "model"].map((name, i) => make("th", { scope: "col", class: i === 1 || i === 3 ? "n" : null }, name));
    const seeds = make("table", { class: "seeds" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
    const choose = (index) => {
      rows.forEach((row, i) => row.setAttribute("aria-current", String(i === index)));
      below.replaceChildren(...describe(models[index]));
    };
    const names = [...new Set(models.flatMap((model) => Object.keys(model.curves)))];
    names.sort((a, b) => (b === entry.measure) - (a === entry.measure) || a.includes(".") - b.includes("."));
    const first = names.includes(curve) ? curve : names[0];
    const chart = make("div", { class: "chart" });
    const note = make("p", { class: "remark" });
    const select = picker(names.map((name) => [name, name]), (name) => drawCurves(chart, note, name, models, entry));
    select.value = first;
    const curves = names.length
      ? [make("h3", {}, "Learning curves"), make("label", { class: "pick" }, "Curve ", select), chart, note]
      : [make("p", { class: "remark" }, "No curves are stored.")];
    content.replaceChildren(
      make("p", { class: "header" }, entry.table), summary, ...[fluctuation].filter(Boolean),
      make("h3", {}, "Seeds"), make("div", { class: "scroll" }, seeds), ...curves, below, make("h3", {}, "The whole table again"), command(entry.run));
    choose(0);
    if (names.length) await drawCurves(chart, note, first, models, entry);
  }

  function describe(model) {
    const { protocol, overrides, ...cell } = model.cell;
    return [
      make("h3", {}, `${model.label} on ${model.dataset}, seed ${model.seed}`),
      model.stale ? make("p", { class: "remark" }, "Stale: older than the code that it depends on.") : null,
      make("div", { class: "both" }, film(model), make("div", {},
        facts(model.measures),
        make("h3", {}, "Gives it again, bit for bit"), command(model.reproduce),
        make("details", { class: "notes" }, make("summary", {}, "Cost"), facts(model.cost)),
        make("details", { class: "notes" }, make("summary", {}, "What was trained (fields that differ from the defaults)"), facts({ ...cell, ...overrides, ...protocol })),
        make("details", { class: "notes" }, make("summary", {}, "Environment"), facts(model.environment)))),
    ].filter(Boolean);
  }

  document.addEventListener("click", (event) => {
    const { target } = event;
    const entry = target.closest("[data-entry]");
    if (entry) {
      // A link goes to the table where there is no script.
      event.preventDefault();
      openEntry(entry.dataset.entry, entry.dataset.curve);
    }
    const picture = target.closest("button.picture");
    if (picture) {
      const image = picture.querySelector("img");
      open(image.alt);
      content.replaceChildren(make("img", { src: image.src, alt: image.alt }));
    }
    if (target === dialog || target.closest(".close")) dialog.close();
  });
  dialog.addEventListener("close", () => {
    content.querySelectorAll(".js-plotly-plot").forEach((chart) => window.Plotly.purge(chart));
    content.replaceChildren();
    if (location.hash.startsWith("#entry/")) address(null);
  });
  if (location.hash.startsWith("#entry/")) openEntry(decodeURI(location.hash.slice(7)));

  // Cost against quality -------------------------------------------------------------------------------------------

  const SHAPES = ["circle", "square", "diamond"];
  const TICKS = [1, 3, 10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 18000, 36000, 86400, 172800];

  async function drawTrade(div, trade, column) {
    const scaled = (values) => values.map((v) => (v === null ? null : v * column.factor));
    const values = scaled(column.values);
    const over = (ends) => scaled(ends).map((end, i) => (end === null || values[i] === null ? 0 : Math.abs(end - values[i])));
    const [highs, lows] = [over(column.high), over(column.low)];
    const x = trade.rows.map((row) => row.seconds);
    const front = x.map((seconds, i) => [seconds, values[i]]).filter((_, i) => column.front[i]).sort((a, b) => a[0] - b[0]);
    const ends = [Math.min(...x) / 1.6, Math.max(...x) * 1.6];
    const traces = [
      { x: front.map((p) => p[0]), y: front.map((p) => p[1]), mode: "lines", showlegend: false, line: { shape: "hv", width: 1, color: "#888" }, hoverinfo: "skip" },
      // A trace for each row, as names beside points that lie close cover each other.
      ...trade.rows.map((row, i) => ({
        x: [x[i]], y: [values[i]], name: row.title, showlegend: true, mode: "markers", cliponaxis: false,
        error_y: { type: "data", symmetric: false, array: [highs[i]], arrayminus: [lows[i]], color: "#888", thickness: 1, width: 0 },
        marker: { size: 10, color: COLOURS[i % COLOURS.length], symbol: `${SHAPES[Math.floor(i / COLOURS.length) % SHAPES.length]}${column.front[i] ? "" : "-open"}`, line: { width: 1.5 } },
        hovertemplate: `%{fullData.name}: %{y:.4g} after ${duration(x[i])}${HOVER}`,
      })),
    ];
    const Plotly = await library();
    const ticks = TICKS.filter((seconds) => seconds >= ends[0] && seconds <= ends[1]);
    await Plotly.react(div, traces, layout({
      showlegend: true, legend: { orientation: "h", x: 0, y: -.28, yanchor: "top", itemclick: false, itemdoubleclick: false },
      xaxis: axis({ type: "log", range: ends.map(Math.log10), tickvals: ticks, ticktext: ticks.map(duration), title: { text: "training of one model" } }),
      yaxis: axis({ title: { text: `${column.title} (${column.better} is better)` } }),
    }), FLAT);
  }

  async function drawTrades() {
    const { trades } = await readIndex();
    for (const figure of document.querySelectorAll(".trade")) {
      const trade = trades[figure.dataset.trade];
      if (!trade || trade.rows.length < 2) { figure.remove(); continue; }
      figure.hidden = false;
      const select = figure.querySelector("select");
      select.append(...trade.columns.map((column, index) => make("option", { value: index }, column.title)));
      const chart = figure.querySelector(".chart");
      select.addEventListener("change", () => drawTrade(chart, trade, trade.columns[select.value]));
      await drawTrade(chart, trade, trade.columns[0]);
    }
  }

  const cost = document.getElementById("cost");
  if (cost) {
    // At leisure where a page is likely to be printed; else nearly in sight, as the library takes a moment.
    const draw = once(drawTrades);
    if (matchMedia("(pointer: fine)").matches) setTimeout(draw, 800);
    new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) draw(); }, { rootMargin: "800px" }).observe(cost);
  }

  // Filter ---------------------------------------------------------------------------------------------------------

  const chosen = { method: document.getElementById("method"), dataset: document.getElementById("dataset") };

  function fits(element, name) {
    return !chosen[name].value || (element.dataset[name] ?? "").split(" ").includes(chosen[name].value);
  }

  function filter() {
    for (const row of document.querySelectorAll("tr[data-method]")) row.hidden = !fits(row, "method");
    for (const part of document.querySelectorAll(".part")) {
      part.hidden = !fits(part, "dataset") || (chosen.method.value && !part.querySelector("tr[data-method]:not([hidden])"));
    }
    for (const article of document.querySelectorAll("article.table")) article.hidden = !article.querySelector(".part:not([hidden])");
    for (const line of document.querySelectorAll(".why li, .claim")) line.hidden = line.dataset.dataset !== undefined && !(fits(line, "method") && fits(line, "dataset"));
    for (const group of document.querySelectorAll(".why .group")) group.hidden = !group.querySelector("li:not([hidden])");
    for (const article of document.querySelectorAll("article.claims")) article.hidden = !article.querySelector(".claim:not([hidden])");
    for (const article of document.querySelectorAll("article.why")) article.hidden = !article.querySelector(".group:not([hidden])");
    for (const figure of document.querySelectorAll(".trade")) figure.classList.toggle("off", !fits(figure, "dataset"));
  }

  chosen.method.addEventListener("change", filter);
  chosen.dataset.addEventListener("change", filter);
  // Browsers keep what was chosen when a page is loaded again.
  filter();
})();
