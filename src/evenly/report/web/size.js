// The slider over k: the first k picks are the selection of size k. What each size comes to, beside a random set of it.

function createSizes(data, rows, regions, onSize) {
  const at = (id) => document.getElementById(id);
  const box = at("size");
  if (!data.curve || !box) return { set() {}, size: data.kept };
  const slider = at("size-slider"), number = at("size-number"), play = at("size-play");
  const most = data.kept;
  const picks = d3.range(rows.count).filter(rows.kept).sort((a, b) => rows.rank[a] - rows.rank[b]);
  const whole = picks.length === most; // a page with a sample carries some picks alone
  const letters = d3.cumsum(picks, (i) => rows.characters[i]);
  const allLetters = d3.sum(d3.range(rows.mapped), (i) => rows.characters[i]);
  // What each frame asks of all picks is counted once: when a region or a source is first touched, the least radius so far.
  const firstOf = (values, of) => {
    const first = new Array(values).fill(Infinity);
    picks.forEach((i, place) => { const value = of(i); if (value !== undefined && first[value] === Infinity) first[value] = place; });
    return first;
  };
  const regionFirst = firstOf(regions.small.length, (i) => (i < rows.mapped ? regions.of[i] : undefined));
  const sourceFirst = firstOf(data.sources.length, rows.source);
  const touched = (first) => d3.sum(first, (place) => (place < size ? 1 : 0));
  const leastRadius = [];
  for (const radius of data.curve.radii) leastRadius.push(Math.min(radius, leastRadius.at(-1) ?? Infinity));
  const measured = data.sizes;
  const share = at("size-within");
  const STEPS = 1000; // the slider is fine where sizes are small: equal steps are equal factors
  const toSize = (step) => Math.max(1, Math.min(most, Math.round(Math.exp((step / STEPS) * Math.log(most)))));
  const toStep = (size) => Math.round((STEPS * Math.log(size)) / Math.log(most || 2));
  let size = most, timer = 0;
  if (measured) share.value = quantity(measured.kept.quantiles[measured.sizes.length - 1][Math.floor(measured.levels.length * 0.9)] || measured.kept.mean[measured.sizes.length - 1]);
  at("size-within-label").hidden = !measured;

  // The last measured size that is not larger, mixed with the next one.
  function between(series, value) {
    const { sizes } = measured;
    if (value > sizes[sizes.length - 1]) return null;
    const right = d3.bisectLeft(sizes, value);
    if (sizes[right] === value || right === 0) return series(right);
    const part = (value - sizes[right - 1]) / (sizes[right] - sizes[right - 1]);
    return series(right - 1) * (1 - part) + series(right) * part;
  }

  // The share of pool rows within a distance, read between percentiles.
  function within(quantiles, distance) {
    if (distance >= quantiles[quantiles.length - 1]) return 1;
    const right = d3.bisectRight(quantiles, distance);
    if (!right) return 0;
    const low = quantiles[right - 1], high = quantiles[right];
    return (measured.levels[right - 1] + ((measured.levels[right] - measured.levels[right - 1]) * (distance - low)) / (high - low || 1)) / 100;
  }

  function radius() {
    return leastRadius[d3.bisectRight(data.curve.sizes, size) - 1] ?? null;
  }

  const percent = (part) => (part == null ? "–" : `${(100 * part).toFixed(part < 0.1 ? 1 : 0)} %`);

  function facts() {
    const distance = Number(share.value);
    const random = { rows: size / data.pool };
    const found = [["rows", `${count.format(size)}`, percent(size / data.pool), ""]];
    if (whole) found.push(["of all text", percent(letters[size - 1] / allLetters), percent(size / data.pool), "share of characters"]);
    found.push(["closest two kept rows", quantity(radius()), size === most ? quantity(data.random.h_min) : "–", "h_min: no two kept rows are nearer"]);
    if (measured) {
      const mean = (name) => between((place) => measured[name].mean[place], size);
      const near = (name) => between((place) => within(measured[name].quantiles[place], distance), size);
      const last = measured.levels.length - 1;
      const farthest = (name) => between((place) => measured[name].quantiles[place][last], size);
      found.push(["from a row to its nearest kept one, on average", quantity(mean("kept")), quantity(mean("random")), "mean over the pool"]);
      found.push(["from a row to its nearest kept one, at most", quantity(farthest("kept")), quantity(farthest("random")), "the farthest of the rows measured"]);
      found.push([`of the pool within ${quantity(distance)} of a kept row`, percent(near("kept")), percent(near("random")), "coverage"]);
    }
    if (regions.small.length) {
      random.regions = d3.sum(regions.small, (region) => 1 - Math.pow(1 - region.pool / rows.mapped, size));
      if (whole) found.push([`of ${regions.small.length} regions touched`, count.format(touched(regionFirst)), random.regions.toFixed(0), "expected of a random set"]);
    }
    if (data.sources.length > 1 && whole) {
      found.push([`of ${data.sources.length} sources kept`, count.format(touched(sourceFirst)), d3.sum(data.sources, (source) => 1 - Math.pow(1 - source.rows / data.pool, size)).toFixed(0), "expected of a random set"]);
    }
    return found;
  }

  function told() {
    at("size-facts").replaceChildren(...facts().map(([label, kept, random, title], place) => element("div", { title },
      element("dd", { class: "figure" }, kept), element("dt", {}, label), element("dd", { class: "quiet" }, place ? `random ${random}` : `${random} of the pool`))));
  }

  function set(wanted) {
    size = Math.max(1, Math.min(most, Math.round(wanted) || 1));
    if (Number(slider.value) !== toStep(size)) slider.value = toStep(size);
    if (document.activeElement !== number) number.value = size;
    slider.setAttribute("aria-valuetext", `${count.format(size)} rows`);
    told();
    onSize(size);
  }

  function stop() {
    cancelAnimationFrame(timer);
    timer = 0;
    play.textContent = "Play";
  }

  // Twelve seconds from the first pick to the last; where motion is unwanted, ten still pictures.
  function start() {
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const from = size >= most ? 0 : toStep(size);
    const began = performance.now() - (from / STEPS) * 12000;
    play.textContent = "Pause";
    const frame = (now) => {
      let step = Math.min(STEPS, ((now - began) / 12000) * STEPS);
      if (still) step = Math.ceil(step / 100) * 100;
      set(toSize(step));
      if (step >= STEPS) return stop();
      timer = requestAnimationFrame(frame);
    };
    timer = requestAnimationFrame(frame);
  }

  slider.max = STEPS;
  slider.addEventListener("input", () => { stop(); set(toSize(Number(slider.value))); });
  slider.addEventListener("keydown", (event) => { // one row at a time, beyond the slider's own steps
    if (!event.shiftKey || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    event.preventDefault();
    stop();
    set(size + (event.key === "ArrowRight" ? 1 : -1));
  });
  number.max = most;
  number.addEventListener("input", () => { stop(); if (number.value >= 1) set(Number(number.value)); });
  number.addEventListener("change", () => { number.value = size; });
  play.addEventListener("click", () => (timer ? stop() : start()));
  share.addEventListener("input", told);
  told();
  slider.value = STEPS;
  number.value = most;
  return { set, picks, get size() { return size; } };
}
