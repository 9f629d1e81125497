// Puts the page together: reads the data block, draws, connects controls, and keeps the view in the address.

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const rows = readRows(data);
  const regions = readRegions(data);
  const at = (id) => document.getElementById(id);
  const about = { pool: data.pool, hMin: data.hMin, regions };
  let listed = null; // rows that the filters leave, or null for all
  let first = 0, chosen = null, linking = 0, growing = 0;

  const map = createMap(rows, regions, at("map"), {
    onChoose: choose,
    onShape: (shape) => { bench.set({ polygon: shape }); if (shape) at("bench-section").scrollIntoView(); },
    onView: keepLink,
  });
  const shares = createRegions(data, rows, regions, (r) => {
    map.look(4, regions.small[r].x, regions.small[r].y);
    bench.set({ region: String(r) });
    at("map-section").scrollIntoView();
  });
  const sizes = createSizes(data, rows, regions, (size) => {
    map.grow(size >= data.kept ? Infinity : size);
    clearTimeout(growing); // the rest may come a moment after the map
    growing = setTimeout(() => { shares.draw(size); triptych.draw(); }, 60);
    keepLink();
  });
  const triptych = createTriptych(rows, sizes);
  shares.draw(data.kept);
  const bench = createBench(data, rows, regions, (found) => {
    listed = found;
    first = 0;
    map.lightUp(found);
    map.show(bench.state.polygon);
    const kept = found?.filter(rows.kept).length;
    const words = found ? `${count.format(found.length)} ${found.length === 1 ? "row matches" : "rows match"}: ${count.format(kept)} kept, ${count.format(found.length - kept)} dropped.` : "";
    for (const id of ["map-status", "bench-status"]) at(id).textContent = words;
    listRows();
    keepLink();
  });

  function choose(i) {
    chosen = i;
    map.choose(i);
    showKeeper(rows, i, at("chosen"), about);
    keepLink();
  }

  function showRow(row) {
    choose(rows.place(row));
    at("map-section").scrollIntoView();
    at("map").querySelector("canvas").focus({ preventScroll: true });
  }

  // --- controls of the map --------------------------------------------------------------------------------------
  const choices = [["kept", "kept or dropped"], ["radius", "radius of the pick"], ["distance", "distance to the keeper"], ["characters", "text length"],
    ...rows.fields.map((field, f) => [`field:${f}`, field.name])];
  at("colour").append(...choices.map(([value, label]) => element("option", { value }, label)));
  at("colour").addEventListener("change", (event) => { map.colourBy(event.target.value); keepLink(); });
  at("tool").addEventListener("change", (event) => map.use(event.target.value));
  at("contours").addEventListener("change", (event) => map.contour(event.target.checked));
  at("zoom-in").addEventListener("click", () => map.zoomBy(1.6));
  at("zoom-out").addEventListener("click", () => map.zoomBy(1 / 1.6));
  at("zoom-reset").addEventListener("click", () => map.reset());
  if (data.sample) at("sample-note").textContent = `The map shows a random ${count.format(data.mapped)} of the ${count.format(data.pool)} rows; search and table cover these.`;

  // --- table ----------------------------------------------------------------------------------------------------
  const PAGE = 20;
  function listRows() {
    if (!at("rows").open) return;
    const total = listed ? listed.length : rows.mapped;
    const shown = d3.range(first, Math.min(first + PAGE, total)).map((n) => (listed ? listed[n] : n));
    const cell = (...children) => element("td", {}, ...children);
    at("rows").querySelector("tbody").replaceChildren(...shown.map((i) => element("tr", {},
      cell(rowButton(rows, i)), cell(rows.kept(i) ? `pick ${count.format(rows.rank[i] + 1)}` : "dropped"),
      cell(rows.kept(i) ? "itself" : `row ${rows.keeper[i]}`), cell(quantity(rows.distance[i])),
      cell(count.format(rows.characters[i])), cell(...rowTexts(rows, i)))));
    at("rows-note").textContent = listed ? "Rows that pass all filters." : "All rows of the map; filter to see fewer.";
    at("rows-page").textContent = total ? `${count.format(first + 1)}–${count.format(first + shown.length)} of ${count.format(total)}` : "none";
    at("rows-back").disabled = first === 0;
    at("rows-next").disabled = first + PAGE >= total;
  }
  at("rows").addEventListener("toggle", listRows);
  at("rows-back").addEventListener("click", () => { first -= PAGE; listRows(); });
  at("rows-next").addEventListener("click", () => { first += PAGE; listRows(); });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-row]");
    if (button) showRow(Number(button.dataset.row));
  });
  document.querySelector('a[href="#rows"]').addEventListener("click", () => { at("rows").open = true; });

  // --- why a row was dropped --------------------------------------------------------------------------------------
  const dropped = d3.range(rows.mapped).filter((i) => !rows.kept(i));
  at("keeper-form").addEventListener("submit", (event) => {
    event.preventDefault();
    lookUp(at("keeper-row").value);
  });
  at("keeper-random").disabled = !dropped.length;
  at("keeper-random").addEventListener("click", () => {
    const i = dropped[Math.floor(Math.random() * dropped.length)];
    at("keeper-row").value = rows.row[i];
    lookUp(String(rows.row[i]));
  });

  function lookUp(words) {
    const i = rows.placeOf(words);
    if (i !== undefined) return showKeeper(rows, i, at("keeper"), about);
    const where = data.sample ? "this page carries only a sample of the rows; order.parquet beside it has all" : `rows are numbered 0 to ${count.format(data.pool - 1)}`;
    at("keeper").replaceChildren(element("p", {}, `No row ${words.trim() || "given"} here: ${where}.`));
  }

  // --- the view in the address, so that a link shows it again -----------------------------------------------------
  function keepLink() {
    clearTimeout(linking);
    linking = setTimeout(() => {
      const { colour, shape, at: [k, x, y] } = map.view;
      const view = { ...bench.state, polygon: shape?.map((point) => point.map((value) => Number(value.toPrecision(5)))) };
      if (colour !== "kept") view.colour = colour;
      if (k !== 1) view.at = [k, x, y];
      if (sizes.size < data.kept) view.size = sizes.size;
      if (chosen != null) view.row = rows.row[chosen];
      const said = Object.fromEntries(Object.entries(view).filter(([, value]) => value));
      const hash = Object.keys(said).length ? `#view=${encodeURIComponent(JSON.stringify(said))}` : "";
      if (hash || location.hash.startsWith("#view=")) history.replaceState(null, "", hash || location.pathname + location.search);
    }, 300);
  }

  // What the address says is untrusted: values are taken where they are of the kind that a view has.
  function readLink() {
    let view;
    try { view = JSON.parse(decodeURIComponent(location.hash.slice("#view=".length))); } catch { return; }
    if (!location.hash.startsWith("#view=") || !view || typeof view !== "object") return;
    const number = (value) => typeof value === "number" && Number.isFinite(value);
    const point = (value) => Array.isArray(value) && value.length === 2 && value.every(number);
    const filters = Object.fromEntries(Object.keys(bench.state).filter((name) => typeof view[name] === "string").map((name) => [name, view[name]]));
    if (Array.isArray(view.polygon) && view.polygon.every(point)) filters.polygon = view.polygon;
    if (choices.some(([value]) => value === view.colour)) { at("colour").value = view.colour; map.colourBy(view.colour); }
    if (number(view.size)) sizes.set(view.size);
    if (Array.isArray(view.at) && view.at.length === 3 && view.at.every(number)) map.look(...view.at);
    if (Object.keys(filters).length) bench.set(filters);
    if (number(view.row) && rows.place(view.row) !== undefined) choose(rows.place(view.row));
  }

  // --- figures ------------------------------------------------------------------------------------------------
  if (data.curve) drawCurve(data);
  if (data.nearest.length) drawNearest(data);
  drawComparison("lengths", "text length in characters", data.lengths);
  data.fields.forEach((field, f) => drawComparison(`field-${f}`, field.name, field));
  requestAnimationFrame(() => { // the map knows its width by now
    readLink();
    document.documentElement.dataset.ready = "true";
  });
})();
