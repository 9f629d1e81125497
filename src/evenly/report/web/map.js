// The map: a canvas with D3's zoom and quadtree. Dots are blended straight into its pixels.

const CATEGORY = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#b3a600"]; // Okabe & Ito, yellow darkened
const STEPS = 24;

function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// How to colour: a list of colours, which of them lies below the others, labels, and the colour number of each row.
function colouring(rows, choice) {
  const grey = css("dropped");
  if (choice === "kept") {
    return { colours: [grey, css("kept")], below: 0, labels: ["dropped", "kept"], of: (i) => (rows.kept(i) ? 1 : 0) };
  }
  const field = rows.fields[Number(choice.slice(6))];
  if (choice.startsWith("field:") && field.kind === "category") {
    const others = field.others ? ["other values"] : [];
    return { colours: [...CATEGORY.slice(0, field.values.length), grey], below: field.values.length, labels: [...field.values, ...others], of: (i) => field.codes[i] };
  }
  const values = choice === "radius" ? rows.radius : choice === "characters" ? rows.characters : choice === "distance" ? rows.distance : field.numbers;
  return ramp(rows, values, choice === "characters", choice === "radius" ? "dropped, or first" : "no value");
}

function ramp(rows, values, log, missing) {
  const sorted = Float64Array.from(values.slice(0, rows.mapped).filter((value) => value != null)).sort();
  const low = d3.quantileSorted(sorted, 0.01) ?? 0;
  const high = d3.quantileSorted(sorted, 0.99) ?? 1;
  const scale = (log && low > 0 ? d3.scaleLog() : d3.scaleLinear()).domain([low, high > low ? high : low + 1]).range([0, STEPS - 1]).clamp(true);
  const from = matchMedia("(prefers-color-scheme: dark)").matches ? 0.2 : 0.02; // violet is lost on dark paper
  const colours = d3.range(STEPS).map((step) => d3.interpolateViridis(from + ((0.95 - from) * step) / (STEPS - 1)));
  return {
    colours: [...colours, css("dropped")], below: STEPS, ramp: [low, high], missing: sorted.length < rows.mapped ? missing : null,
    of: (i) => (values[i] == null ? STEPS : Math.round(scale(Math.max(values[i], log ? 1 : -Infinity)))),
  };
}

// Pixels of a disc around its centre, with the share of each that the disc covers.
function stamp(radius) {
  const reach = Math.ceil(radius);
  const pixels = [];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const covered = Math.min(1, radius + 0.5 - Math.hypot(dx, dy));
      if (covered > 0) pixels.push({ dx, dy, covered });
    }
  }
  return pixels;
}

function swatch(colour, label) {
  const dot = element("i");
  dot.style.background = colour;
  return element("span", {}, dot, label);
}

function createMap(rows, regions, box, { onChoose, onShape, onView }) {
  const canvas = box.querySelector("canvas");
  const tooltip = box.querySelector("#tooltip");
  const context = canvas.getContext("2d");
  const mapped = d3.range(rows.mapped);
  const shuffled = d3.shuffler(d3.randomLcg(0.5))([...mapped]);
  const tree = d3.quadtree(mapped, (i) => rows.x[i], (i) => rows.y[i]);
  const picks = mapped.filter(rows.kept).sort((a, b) => rows.rank[a] - rows.rank[b]);
  const ranks = picks.map((i) => rows.rank[i]);
  const state = { transform: d3.zoomIdentity, matches: null, chosen: null, keyboard: false, colour: "kept", size: Infinity, tool: "move", shape: null, contours: false };
  let width = 0, height = 0, ratio = 1, scale = 1, offset = [0, 0], order = [], shades = [], palette = [], how = null;

  const toScreen = (i) => [state.transform.applyX(rows.x[i] * scale + offset[0]), state.transform.applyY(-rows.y[i] * scale + offset[1])];
  const base = rows.mapped > 20000 ? 1.35 : rows.mapped > 3000 ? 2 : 3;
  const dotRadius = () => Math.min(base * Math.pow(state.transform.k, 0.45), 7);

  // Where the map is zoomed in, its centre stays when its size changes.
  function fit() {
    const centre = width && state.transform.k !== 1 ? placeOfCentre() : null;
    ratio = Math.min(window.devicePixelRatio || 1, 2);
    ({ width, height } = canvas.getBoundingClientRect());
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const [x0, x1] = d3.extent(mapped, (i) => rows.x[i]);
    const [y0, y1] = d3.extent(mapped, (i) => rows.y[i]);
    scale = 0.93 * Math.min(width / (x1 - x0 || 1), height / (y1 - y0 || 1));
    offset = [width / 2 - (scale * (x0 + x1)) / 2, height / 2 + (scale * (y0 + y1)) / 2];
    zoom.extent([[0, 0], [width, height]]).translateExtent([[-width, -height], [2 * width, 2 * height]]);
    if (centre) look(state.transform.k, ...centre);
    draw();
  }

  // Grey rows below the others; the others in no order, so that no colour hides another.
  function layer() {
    how = colouring(rows, state.colour);
    const grey = shuffled.filter((i) => how.of(i) === how.below);
    order = [...grey, ...shuffled.filter((i) => how.of(i) !== how.below)];
    shades = Uint8Array.from(mapped, how.of);
    palette = how.colours.map((colour) => d3.rgb(colour));
    drawLegend();
    draw();
  }

  function drawLegend() {
    fillLegend();
    if (state.matches) document.getElementById("legend").append(swatch(css("match"), "matches the search"));
  }

  function fillLegend() {
    const legend = document.getElementById("legend");
    if (how.labels) return legend.replaceChildren(...how.labels.map((label, c) => swatch(how.colours[c], label)));
    const bar = element("i", { class: "ramp" });
    bar.style.background = `linear-gradient(90deg, ${how.colours.slice(0, STEPS).join(",")})`;
    legend.replaceChildren(element("span", {}, `≤ ${quantity(how.ramp[0])}`, bar, `≥ ${quantity(how.ramp[1])}`));
    if (how.missing) legend.append(swatch(how.colours[STEPS], how.missing));
  }

  // The image has a margin as wide as a dot, so that dots at the border need no clipping.
  function blank(margin) {
    const image = context.createImageData(canvas.width + 2 * margin, canvas.height + 2 * margin);
    const { r, g, b } = d3.rgb(css("paper"));
    new Uint32Array(image.data.buffer).fill(((255 << 24) | (b << 16) | (g << 8) | r) >>> 0); // little-endian RGBA
    return image;
  }

  // Blends dots into the image by hand: as fast without a graphics processor as with one.
  function paint(image, margin, points, colourOf, radius, alpha, skip = () => false) {
    const { data: pixels, width: across } = image;
    const disc = stamp(radius * ratio).map(({ dx, dy, covered }) => [4 * (dy * across + dx), covered * alpha]);
    const { k, x: tx, y: ty } = state.transform;
    const ax = scale * k * ratio, bx = (offset[0] * k + tx) * ratio;
    const ay = -scale * k * ratio, by = (offset[1] * k + ty) * ratio;
    const right = canvas.width, bottom = canvas.height;
    for (const i of points) {
      if (skip(i)) continue;
      const x = Math.round(rows.x[i] * ax + bx), y = Math.round(rows.y[i] * ay + by);
      if (x < 0 || y < 0 || x >= right || y >= bottom) continue;
      const { r, g, b } = colourOf(i);
      const centre = 4 * ((y + margin) * across + x + margin);
      for (const [step, share] of disc) {
        const at = centre + step;
        pixels[at] += share * (r - pixels[at]);
        pixels[at + 1] += share * (g - pixels[at + 1]);
        pixels[at + 2] += share * (b - pixels[at + 2]);
      }
    }
  }

  let waiting = 0;
  function draw() {
    waiting ||= requestAnimationFrame(drawNow);
  }

  function drawNow() {
    cancelAnimationFrame(waiting);
    waiting = 0;
    if (!width) return;
    const radius = dotRadius();
    const alpha = state.matches ? 0.16 : 0.8;
    const lit = Math.max(radius * 1.35, 2.2);
    const margin = Math.ceil(lit * ratio);
    const image = blank(margin);
    if (state.colour === "kept") { // the first picks above all other rows
      const [grey, blue] = palette;
      paint(image, margin, shuffled, () => grey, radius, alpha, (i) => rows.rank[i] >= 0 && rows.rank[i] < state.size);
      paint(image, margin, picks.slice(0, d3.bisectLeft(ranks, state.size)), () => blue, radius, alpha);
    } else paint(image, margin, order, (i) => palette[shades[i]], radius, alpha);
    if (state.matches) {
      const bright = d3.rgb(css("match"));
      paint(image, margin, state.matches, () => bright, lit, 1);
    }
    context.putImageData(image, -margin, -margin);
    context.save();
    context.scale(ratio, ratio);
    if (state.contours) drawContours();
    drawShape();
    drawNames();
    context.restore();
    drawChosen(radius);
  }

  // Where the pool and the kept rows are dense: the same shares of the highest density.
  let contours = null;
  function drawContours() {
    // Contours are made in a frame of their own, so that they need not be made anew while the map is moved.
    if (!contours || contours.scale !== scale || contours.size !== state.size) {
      const shape = (points) => d3.contourDensity().x((i) => rows.x[i] * scale + offset[0]).y((i) => -rows.y[i] * scale + offset[1])
        .size([width, height]).cellSize(4).bandwidth(Math.min(width, height) / 45).thresholds(6)(points);
      contours = { scale, size: state.size, pool: shape(mapped), kept: shape(picks.slice(0, d3.bisectLeft(ranks, state.size))) };
    }
    const { x, y, k } = state.transform;
    context.save();
    context.translate(x, y);
    context.scale(k, k);
    const path = d3.geoPath(null, context);
    for (const [name, colour, dash] of [["pool", "ink", [5 / k, 3 / k]], ["kept", "kept", []]]) {
      context.strokeStyle = css(colour);
      context.setLineDash(dash);
      context.lineWidth = 1.4 / k;
      for (const line of contours[name]) { context.beginPath(); path(line); context.stroke(); }
    }
    context.restore();
  }

  function drawShape() {
    if (!state.shape || state.shape.length < 2) return;
    context.beginPath();
    for (const [x, y] of state.shape) context.lineTo(state.transform.applyX(x * scale + offset[0]), state.transform.applyY(-y * scale + offset[1]));
    context.closePath();
    context.strokeStyle = css("match");
    context.lineWidth = 2;
    context.stroke();
  }

  // Names of regions, the largest first; one that would lie over another is left out.
  function drawNames() {
    const level = state.transform.k < 2 ? regions.large : regions.small;
    const size = width < 500 ? 11 : 13;
    context.font = `600 ${size}px ${css("sans")}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.lineJoin = "round";
    const taken = [];
    for (const region of d3.sort(level.filter((one) => one.name), (one) => -one.pool)) {
      const words = width < 500 ? region.name.split(" · ").slice(0, 2).join(" · ") : region.name;
      const half = context.measureText(words).width / 2 + 6;
      let x = state.transform.applyX(region.x * scale + offset[0]);
      const y = state.transform.applyY(-region.y * scale + offset[1]);
      if (x < 0 || y < 0 || x > width || y > height) continue;
      x = Math.max(half, Math.min(width - half, x));
      const box = [x - half, y - size, x + half, y + size];
      if (taken.some((other) => box[0] < other[2] && box[2] > other[0] && box[1] < other[3] && box[3] > other[1])) continue;
      taken.push(box);
      context.lineWidth = 4;
      context.strokeStyle = css("paper");
      context.strokeText(words, x, y);
      context.fillStyle = css("ink");
      context.fillText(words, x, y);
    }
  }

  function ring([x, y], radius, colour) {
    context.strokeStyle = colour;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.stroke();
  }

  function drawChosen(radius) {
    context.save();
    context.scale(ratio, ratio);
    context.lineWidth = 2;
    if (state.chosen != null && state.chosen < rows.mapped) {
      const here = toScreen(state.chosen);
      const keeper = rows.place(rows.keeper[state.chosen]);
      if (keeper != null && keeper !== state.chosen && keeper < rows.mapped) {
        const there = toScreen(keeper);
        context.strokeStyle = css("ink");
        context.beginPath();
        context.moveTo(...here);
        context.lineTo(...there);
        context.stroke();
        ring(there, radius + 5, css("kept"));
      }
      ring(here, radius + 5, css("ink"));
    }
    if (state.keyboard) {
      context.strokeStyle = css("ink");
      context.strokeRect(width / 2 - 7, height / 2 - 7, 14, 14);
    }
    context.restore();
  }

  function look(k, x, y) {
    selection.call(zoom.transform, d3.zoomIdentity.translate(width / 2, height / 2).scale(k).translate(-(x * scale + offset[0]), -(offset[1] - y * scale)));
  }

  function placeOfCentre() {
    const [x, y] = state.transform.invert([width / 2, height / 2]);
    return [(x - offset[0]) / scale, (offset[1] - y) / scale];
  }

  function nearest(px, py, reach) {
    const [x, y] = state.transform.invert([px, py]);
    return tree.find((x - offset[0]) / scale, (offset[1] - y) / scale, reach / (scale * state.transform.k));
  }

  function hover(event) {
    const [px, py] = d3.pointer(event, canvas);
    const i = event.buttons || state.tool !== "move" ? undefined : nearest(px, py, 14);
    tooltip.hidden = i === undefined;
    if (i === undefined) return;
    const keeper = rows.kept(i) ? `pick ${count.format(rows.rank[i] + 1)}` : `keeper: row ${rows.keeper[i]}, at ${quantity(rows.distance[i])}`;
    tooltip.replaceChildren(
      element("p", { class: "meta" }, keptMark(rows, i), element("span", {}, `row ${rows.row[i]}`), element("span", { class: "quiet" }, keeper)), ...rowTexts(rows, i));
    const [x, y] = toScreen(i);
    const { offsetWidth: w, offsetHeight: h } = tooltip;
    tooltip.style.left = `${Math.max(4, x + 14 + w > width ? x - 14 - w : x + 14)}px`;
    tooltip.style.top = `${Math.max(4, Math.min(y + 14, height - h - 4))}px`;
  }

  const zoom = d3.zoom().scaleExtent([0.8, 60])
    .filter((event) => event.type !== "wheel" && state.tool !== "move" ? false : event.type === "wheel" ? event.ctrlKey || event.metaKey || document.activeElement === canvas
      : event.type.startsWith("touch") ? event.touches.length > 1 || state.transform.k > 1 : !event.button)
    .on("zoom", (event) => {
      state.transform = event.transform;
      canvas.style.touchAction = event.transform.k > 1 ? "none" : "pan-y"; // one finger scrolls the page until zoomed in
      tooltip.hidden = true;
      draw();
      onView();
    });
  const selection = d3.select(canvas).call(zoom);

  const steps = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  function key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    if (steps[event.key]) selection.call(zoom.translateBy, ...steps[event.key].map((step) => (60 * step) / state.transform.k));
    else if (event.key === "+" || event.key === "=") selection.call(zoom.scaleBy, 1.5);
    else if (event.key === "-") selection.call(zoom.scaleBy, 1 / 1.5);
    else if (event.key === "0") selection.call(zoom.transform, d3.zoomIdentity);
    else if (event.key === "Enter") onChoose(nearest(width / 2, height / 2, Infinity));
    else return;
    state.keyboard = true;
    event.preventDefault();
    draw();
  }

  // A box or a lasso, in the map's own places, so that it stays where it is when the map is moved.
  const placeOf = (event) => {
    const [x, y] = state.transform.invert(d3.pointer(event, canvas));
    return [(x - offset[0]) / scale, (offset[1] - y) / scale];
  };
  let corner = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (state.tool === "move" || event.button) return;
    canvas.setPointerCapture(event.pointerId);
    corner = placeOf(event);
    state.shape = [corner];
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!corner) return;
    const [x, y] = placeOf(event);
    if (state.tool === "lasso") state.shape.push([x, y]);
    else state.shape = [corner, [x, corner[1]], [x, y], [corner[0], y]];
    draw();
  });
  canvas.addEventListener("pointerup", () => {
    if (!corner) return;
    corner = null;
    if (state.shape.length < 3) state.shape = null;
    draw();
    onShape(state.shape);
  });
  canvas.addEventListener("pointermove", hover);
  canvas.addEventListener("pointerleave", () => { tooltip.hidden = true; });
  canvas.addEventListener("pointerdown", () => { state.keyboard = false; canvas.focus({ preventScroll: true }); });
  canvas.addEventListener("click", (event) => {
    const i = state.tool === "move" ? nearest(...d3.pointer(event, canvas), 16) : undefined;
    if (i !== undefined) onChoose(i);
  });
  canvas.addEventListener("keydown", key);
  canvas.addEventListener("blur", () => { state.keyboard = false; draw(); });
  new ResizeObserver(fit).observe(canvas);
  const recolour = () => { layer(); drawNow(); }; // at once: paper does not wait for the next frame
  for (const change of ["(prefers-color-scheme: dark)", "print"]) matchMedia(change).addEventListener("change", recolour);
  fit();
  layer();

  return {
    colourBy(choice) { state.colour = choice; layer(); },
    grow(size) { state.size = size; draw(); },
    use(tool) { state.tool = tool; canvas.style.cursor = tool === "move" ? "" : "crosshair"; canvas.style.touchAction = tool === "move" ? "pan-y" : "none"; },
    show(shape) { state.shape = shape; draw(); },
    contour(on) { state.contours = on; draw(); },
    get view() { return { colour: state.colour, shape: state.shape, at: [state.transform.k, ...placeOfCentre()].map((value) => Number(value.toPrecision(5))) }; },
    look,
    lightUp(matches) { state.matches = matches; drawLegend(); draw(); },
    choose(i) { state.chosen = i; draw(); },
    zoomBy(factor) { selection.call(zoom.scaleBy, factor); },
    reset() { selection.call(zoom.transform, d3.zoomIdentity); },
  };
}
