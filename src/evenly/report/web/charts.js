// The figures, drawn by Observable Plot as SVG; colours are CSS variables, so dark mode and print need no redraw.

const chart = { marginLeft: 62, marginBottom: 42, style: { background: "transparent", color: "currentColor", overflow: "visible" } };

// Draws now and whenever the width changes; a figure keeps its caption.
function figure(id, caption, draw) {
  const box = document.getElementById(id);
  if (!box) return;
  const words = element("figcaption", {}, ...caption);
  let width = 0;
  const redraw = () => {
    const now = Math.min(Math.floor(box.getBoundingClientRect().width), 1088);
    if (!now || now === width) return;
    width = now;
    box.replaceChildren(words, draw(width));
  };
  new ResizeObserver(() => requestAnimationFrame(redraw)).observe(box);
  redraw();
}

function key(colour, label, dashed = false) {
  const line = element("i");
  line.style.background = dashed ? `repeating-linear-gradient(90deg, ${colour} 0 5px, transparent 5px 8px)` : colour;
  if (dashed) Object.assign(line.style, { height: "3px", width: "1.3rem", borderRadius: "0" });
  return element("span", {}, line, label);
}

// The outline of a histogram as the corners of its steps.
function outline(edges, shares) {
  const corners = [{ x: edges[0], y: 0 }];
  shares.forEach((share, bin) => corners.push({ x: edges[bin], y: share }, { x: edges[bin + 1], y: share }));
  return [...corners, { x: edges[edges.length - 1], y: 0 }];
}

const bars = (edges, shares) => shares.map((share, bin) => ({ x1: edges[bin], x2: edges[bin + 1], y: share }));

function drawCurve(data) {
  const { sizes, radii, exact } = data.curve;
  const points = sizes.map((size, at) => ({ size, radius: radii[at] }));
  const shown = points.length > 1500 ? points.filter((_, at) => at < 200 || at % Math.ceil(points.length / 1200) === 0 || at === points.length - 1) : points;
  const last = points[points.length - 1];
  const knee = data.knee && points.find((point) => point.size >= data.knee);
  const input = document.getElementById("curve-distance");
  const answer = document.getElementById("curve-answer");
  let asked = null;

  // Radii never increase: the last size whose radius is still at least the distance.
  const sizeAt = (distance) => d3.bisector((point) => -point.radius).right(points, -distance) - 1;
  const svg = (width) => Plot.plot({
    ...chart, width, height: Math.min(380, Math.max(240, width * 0.45)), marginTop: 24, marginRight: 24,
    ariaLabel: "Smallest distance h_min by number of kept rows",
    ariaDescription: `Falls from ${quantity(points[0].radius)} at ${points[0].size} rows to ${quantity(last.radius)} at ${count.format(last.size)} rows.`,
    x: { label: "rows kept, k", ticks: width < 500 ? 4 : 8, tickFormat: (k) => count.format(k) },
    y: { label: `smallest distance (${data.metric})`, grid: true, zero: true, ticks: 5 },
    marks: [
      Plot.ruleY([0], { strokeOpacity: 0.4 }),
      Plot.areaY(shown, { x: "size", y: "radius", fill: "var(--kept)", fillOpacity: 0.07 }),
      Plot.lineY(shown, { x: "size", y: "radius", stroke: "var(--kept)", strokeWidth: 2 }),
      knee ? Plot.dot([knee], { x: "size", y: "radius", r: 4.5, fill: "var(--paper)", stroke: "var(--kept)", strokeWidth: 2 }) : null,
      knee ? Plot.text([knee], { x: "size", y: "radius", text: () => `knee: ${count.format(knee.size)} rows, ${quantity(knee.radius)}`, dx: 10, dy: -10, textAnchor: "start" }) : null,
      Plot.dot([last], { x: "size", y: "radius", r: 4.5, fill: "var(--kept)" }),
      Plot.text([last], { x: "size", y: "radius", text: () => `chosen: ${count.format(last.size)} rows, ${quantity(last.radius)}`, dx: -4, dy: 18, textAnchor: "end", fontWeight: 600 }),
      asked ? Plot.ruleY([asked.distance], { stroke: "var(--match)", strokeDasharray: "4 3" }) : null,
      asked?.size ? Plot.ruleX([asked.size], { y1: 0, y2: asked.distance, stroke: "var(--match)", strokeDasharray: "4 3" }) : null,
      Plot.ruleX(shown, Plot.pointerX({ x: "size", py: "radius", strokeOpacity: 0.35 })),
      Plot.tip(shown, Plot.pointerX({ x: "size", y: "radius", title: (point) => `${count.format(point.size)} rows\nat least ${quantity(point.radius)} apart`, fill: "var(--paper)", stroke: "var(--line)" })),
    ],
  });

  let drawn = null;
  figure("curve", [knee ? "At the knee the outliers end: from there on each further row costs little distance." : ""], (width) => (drawn = svg(width)));
  input.placeholder = quantity(last.radius);
  input.addEventListener("input", () => {
    const distance = Number(input.value);
    asked = input.value === "" || !(distance >= 0) ? null : { distance };
    if (!asked) answer.textContent = input.value === "" ? "" : "Give a distance of 0 or more.";
    else answer.textContent = answerFor(distance);
    const fresh = svg(Number(drawn.getAttribute("width")));
    drawn.replaceWith(fresh);
    drawn = fresh;
  });
  document.getElementById("curve-form").addEventListener("submit", (event) => event.preventDefault());

  function answerFor(distance) {
    const at = sizeAt(distance);
    if (at === points.length - 1 && distance < last.radius) return `More than the ${count.format(last.size)} rows chosen; select with a larger --keep to know how many.`;
    asked.size = at < 0 ? points[0].size - 1 : points[at].size;
    const next = points[at + 1];
    const until = !exact && next && next.size > asked.size + 1 ? ` to ${count.format(next.size - 1)}` : "";
    return `${count.format(asked.size)}${until} ${asked.size === 1 && !until ? "row" : "rows"}`;
  }
}

function drawNearest(data) {
  const styles = { pool: ["var(--dropped)", "the whole pool"], random: ["var(--ink)", "a random set of the same size"], kept: ["var(--kept)", "the kept rows"] };
  const farthest = d3.max(data.nearest, ({ edges, shares }) => edges[1 + d3.max(shares.keys(), (bin) => (shares[bin] > 0 ? bin : 0))]);
  const legend = element("span", { class: "legend" }, ...data.nearest.map(({ of }) => key(styles[of][0], styles[of][1], of === "random")));
  figure("nearest", [legend], (width) => Plot.plot({
    ...chart, width, height: Math.min(320, Math.max(220, width * 0.4)),
    ariaLabel: "Histograms of the distance to the nearest other row",
    ariaDescription: data.nearest.map(({ of, edges, shares }) => `${styles[of][1]}: most rows near ${quantity(edges[d3.maxIndex(shares)])}.`).join(" "),
    x: { label: `distance to the nearest other row (${data.metric})`, domain: [0, farthest], ticks: width < 500 ? 5 : 8 },
    y: { label: "share of rows (%)", percent: true, ticks: 5, grid: true },
    clip: true,
    marks: [...data.nearest.flatMap(({ of, edges, shares }) => of === "random"
      ? [Plot.line(outline(edges, shares), { x: "x", y: "y", stroke: "var(--ink)", strokeDasharray: "5 3", strokeWidth: 1.5 })]
      : [Plot.areaY(outline(edges, shares), { x: "x", y1: 0, y2: "y", fill: styles[of][0], fillOpacity: of === "kept" ? 0.35 : 0.45 }),
        Plot.line(outline(edges, shares), { x: "x", y: "y", stroke: styles[of][0], strokeWidth: of === "kept" ? 2 : 1 })]),
    Plot.ruleY([0])],
  }));
}

function drawComparison(id, title, data) {
  const legend = element("span", { class: "legend" }, key("var(--dropped)", "pool"), key("var(--kept)", "kept"));
  const notes = [data.missing ? `${count.format(data.missing)} rows have no number here. ` : "", data.unseen ? `${count.format(data.unseen)} rarer values are not shown. ` : ""].filter(Boolean);
  figure(id, [element("b", {}, title), legend, ...notes], (width) => (data.kind === "number" ? numbers(width) : values(width)));

  function numbers(width) {
    return Plot.plot({
      ...chart, width, height: 220, ariaLabel: `${title}: kept rows against the pool`,
      x: { type: data.log ? "log" : "linear", label: null, ticks: 5, tickFormat: data.log ? "~s" : undefined, domain: [data.edges[0], data.edges[data.edges.length - 1]] },
      y: { label: "share of rows (%)", percent: true, ticks: 4, grid: true },
      marks: [
        Plot.rectY(bars(data.edges, data.pool), { x1: "x1", x2: "x2", y: "y", fill: "var(--dropped)", fillOpacity: 0.55, inset: 0 }),
        Plot.line(outline(data.edges, data.kept), { x: "x", y: "y", stroke: "var(--kept)", strokeWidth: 2 }),
        Plot.ruleY([0]),
      ],
    });
  }

  function values(width) {
    const short = (value) => (value.length > 18 ? `${value.slice(0, 17)}…` : value);
    const points = data.values.map((value, at) => ({ value, pool: data.pool[at], kept: data.kept[at] }));
    return Plot.plot({
      ...chart, width, marginLeft: 140, marginTop: 10, height: 60 + 24 * points.length, ariaLabel: `${title}: shares of its values among kept rows and in the pool`,
      ariaDescription: points.map(({ value, pool, kept }) => `${value}: ${(100 * pool).toFixed(1)} % of the pool, ${(100 * kept).toFixed(1)} % of the kept rows.`).join(" "),
      x: { label: "share of rows (%)", percent: true, zero: true, grid: true, ticks: 5 },
      y: { label: null, domain: data.values, tickFormat: short, tickSize: 0 },
      marks: [
        Plot.link(points, { x1: "pool", x2: "kept", y1: "value", y2: "value", stroke: "var(--kept)", strokeOpacity: 0.5, strokeWidth: 2 }),
        Plot.dot(points, { x: "pool", y: "value", r: 5, fill: "var(--dropped)" }),
        Plot.dot(points, { x: "kept", y: "value", r: 5, fill: "var(--kept)" }),
      ],
    });
  }
}
