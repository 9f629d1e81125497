// The workbench: which rows are looked at, by filters and by a shape drawn on the map; their table, and their export.

// Whether a point lies in a polygon: a ray to the right crosses its border an odd number of times.
function inside(polygon, x, y) {
  let within = false;
  for (let a = 0, b = polygon.length - 1; a < polygon.length; b = a++) {
    const [ax, ay] = polygon[a], [bx, by] = polygon[b];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
  }
  return within;
}

function createBench(data, rows, regions, onChange) {
  const at = (id) => document.getElementById(id);
  const state = { polygon: null, words: "", kept: "", source: "", region: "", field: "", least: "", most: "", near: "", far: "" };
  const names = { kept: "filter-kept", source: "filter-source", region: "filter-region", field: "filter-field", least: "filter-least", most: "filter-most", near: "filter-near", far: "filter-far", words: "search" };

  const option = (value, label) => element("option", { value }, label);
  if (data.sources.length > 1) at("filter-source").append(...data.sources.map((source, s) => option(String(s), source.name)));
  else at("filter-source").parentElement.hidden = true;
  regions.small.map((region, r) => ({ region, r })).filter(({ region }) => region.name).sort((a, b) => d3.ascending(a.region.name, b.region.name))
    .forEach(({ region, r }) => at("filter-region").append(option(String(r), region.name)));
  at("filter-region").parentElement.hidden = !regions.small.some((region) => region.name);
  const categories = rows.fields.map((field, f) => ({ field, f })).filter(({ field }) => field.kind === "category");
  at("filter-field").parentElement.hidden = !categories.length;
  for (const { field, f } of categories) {
    const group = element("optgroup", { label: field.name });
    [...field.values, ...(field.others ? ["other values"] : [])].forEach((value, v) => group.append(option(`${f}:${v}`, value)));
    at("filter-field").append(group);
  }

  // The rows that pass all filters, ascending; null where nothing is asked for.
  function found() {
    if (!Object.values(state).some(Boolean)) return null;
    const searched = rows.search(state.words);
    const [field, value] = state.field.split(":").map(Number);
    const bounds = ["least", "most", "near", "far"].map((name) => (state[name] === "" ? null : Number(state[name])));
    const passes = (i) => (!state.kept || (state.kept === "kept") === rows.kept(i))
      && (state.source === "" || rows.source(i) === Number(state.source))
      && (state.region === "" || regions.of[i] === Number(state.region))
      && (state.field === "" || rows.fields[field].codes[i] === value)
      && (bounds[0] == null || rows.characters[i] >= bounds[0]) && (bounds[1] == null || rows.characters[i] <= bounds[1])
      && (bounds[2] == null || rows.distance[i] >= bounds[2]) && (bounds[3] == null || rows.distance[i] <= bounds[3])
      && (!state.polygon || inside(state.polygon, rows.x[i], rows.y[i]));
    return (searched ?? d3.range(rows.mapped)).filter(passes);
  }

  function set(changes) {
    Object.assign(state, changes);
    for (const [name, id] of Object.entries(names)) if (name in changes) at(id).value = state[name];
    onChange(found());
  }

  let timer = 0;
  for (const [name, id] of Object.entries(names)) {
    at(id).addEventListener("input", () => {
      state[name] = at(id).value;
      clearTimeout(timer);
      timer = setTimeout(() => onChange(found()), 120);
    });
  }
  at("filter-clear").addEventListener("click", () => set(Object.fromEntries(Object.keys(state).map((name) => [name, name === "polygon" ? null : ""]))));

  // A file made in the page: no network is asked for it.
  function save(name, lines) {
    const link = element("a", { download: name, href: URL.createObjectURL(new Blob([lines.map((line) => `${line}\n`).join("")], { type: "text/plain" })) });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
  const chosen = () => found() ?? d3.range(rows.mapped);
  at("save-ids").addEventListener("click", () => save("rows.txt", chosen().map((i) => rows.id[i])));
  at("save-lines").addEventListener("click", () => save("rows.jsonl", chosen().map((i) => JSON.stringify({
    row: rows.row[i], id: rows.id[i], kept: rows.kept(i), prompt: rows.prompt[i], response: rows.response[i] }))));

  return { set, found, state };
}
