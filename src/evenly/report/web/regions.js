// Regions of the map: what was kept more and less than its share.

function readRegions(data) {
  return data.regions ?? { small: [], large: [], of: [] };
}

function createRegions(data, rows, regions, onRegion) {
  const box = document.getElementById("regions-table");
  if (!box || !regions.small.length) return { draw() {} };
  const LISTED = 8;
  const counted = new Float64Array(regions.small.length);
  const share = (part) => `${(100 * part).toFixed(part < 0.0995 ? 1 : 0)} %`;

  function draw(size) {
    counted.fill(0);
    for (let i = 0; i < rows.mapped; i++) if (rows.rank[i] >= 0 && rows.rank[i] < size) counted[regions.of[i]]++;
    const all = d3.sum(counted);
    const told = regions.small.map((region, r) => ({ r, region, pool: region.pool / rows.mapped, kept: all ? counted[r] / all : 0 }));
    const order = d3.sort(told.filter(({ region }) => region.name), ({ pool, kept }) => pool - kept); // what gained most comes first
    const unnamed = told.length - order.length;
    document.getElementById("regions-unnamed").textContent = unnamed ? `${count.format(unnamed)} of ${count.format(told.length)} regions have no words of their own and are not listed.` : "";
    const longest = d3.max(told, ({ pool, kept }) => Math.max(pool, kept));
    list("regions-more", order.filter(({ pool, kept }) => kept > pool).slice(0, LISTED), longest);
    list("regions-less", order.filter(({ pool, kept }) => kept < pool).reverse().slice(0, LISTED), longest);
  }

  function list(id, found, longest) {
    document.getElementById(id).replaceChildren(...(found.length ? found : [null]).map((one) => {
      if (!one) return element("li", { class: "quiet" }, "none");
      const bars = element("span", { class: "bars", "aria-hidden": "true" });
      for (const name of ["pool", "kept"]) {
        const bar = element("i", { class: name });
        bar.style.width = `${(100 * one[name]) / longest}%`;
        bars.append(bar);
      }
      return element("li", {}, element("button", { type: "button", class: "link", "data-region": one.r }, one.region.name), bars,
        element("span", { class: "quiet" }, `${share(one.pool)} of the pool, ${share(one.kept)} of the kept`));
    }));
  }

  box.addEventListener("click", (event) => {
    const button = event.target.closest("[data-region]");
    if (button) onRegion(Number(button.dataset.region));
  });
  return { draw };
}

// Three maps of the same view: all rows, a random set, the kept rows. The same number of dots in the last two.
function createTriptych(rows, sizes) {
  const canvases = ["before", "random", "after"].map((name) => document.getElementById(`map-${name}`));
  if (!canvases[0]) return { draw() {} };
  const order = d3.shuffler(d3.randomLcg(0.7))(d3.range(rows.mapped));
  const picks = d3.range(rows.mapped).filter(rows.kept).sort((a, b) => rows.rank[a] - rows.rank[b]);
  const extent = (axis) => d3.extent(d3.range(rows.mapped), (i) => rows[axis][i]);
  const [x0, x1] = extent("x"), [y0, y1] = extent("y");
  let waiting = 0;

  function paint(canvas, points, colour) {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    const { width, height } = canvas.getBoundingClientRect();
    if (!width) return;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const scale = 0.94 * Math.min(canvas.width / (x1 - x0 || 1), canvas.height / (y1 - y0 || 1));
    const context = canvas.getContext("2d");
    const side = (rows.mapped > 5000 ? 0.9 : 2) * ratio;
    context.fillStyle = css(colour);
    context.globalAlpha = 0.75;
    for (const i of points) context.fillRect((rows.x[i] - (x0 + x1) / 2) * scale + canvas.width / 2 - side / 2, ((y0 + y1) / 2 - rows.y[i]) * scale + canvas.height / 2 - side / 2, side, side);
  }

  function drawNow() {
    waiting = 0;
    const shown = d3.bisectLeft(picks.map((i) => rows.rank[i]), sizes.size);
    paint(canvases[0], order, "dropped");
    paint(canvases[1], order.slice(0, shown), "random");
    paint(canvases[2], picks.slice(0, shown), "kept");
    for (const id of ["random-count", "after-count"]) document.getElementById(id).textContent = count.format(shown);
  }
  const draw = () => { clearTimeout(waiting); waiting = setTimeout(drawNow, 80); };
  new ResizeObserver(draw).observe(canvases[0]);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return { draw };
}
