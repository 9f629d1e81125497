// Puts the page together: reads the data block, draws, and connects controls.

(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const rows = readRows(data);
  const at = (id) => document.getElementById(id);
  const status = at("map-status");
  const map = createMap(rows, at("map"), (i) => choose(i));
  let listed = null; // rows found by the search, or null for all
  let first = 0;

  function choose(i) {
    map.choose(i);
    showKeeper(rows, i, at("chosen"), data.pool);
  }

  function showRow(row) {
    const i = rows.place(row);
    choose(i);
    at("map-section").scrollIntoView();
    at("map").querySelector("canvas").focus({ preventScroll: true });
  }

  // --- colour -------------------------------------------------------------------------------------------------
  const choices = [["kept", "kept or dropped"], ["radius", "radius of the pick"], ["distance", "distance to the keeper"], ["characters", "text length"],
    ...rows.fields.map((field, f) => [`field:${f}`, field.name])];
  at("colour").append(...choices.map(([value, label]) => element("option", { value }, label)));
  at("colour").addEventListener("change", (event) => map.colourBy(event.target.value));
  at("zoom-in").addEventListener("click", () => map.zoomBy(1.6));
  at("zoom-out").addEventListener("click", () => map.zoomBy(1 / 1.6));
  at("zoom-reset").addEventListener("click", () => map.reset());
  if (data.sample) at("sample-note").textContent = `The map shows a random ${count.format(data.mapped)} of the ${count.format(data.pool)} rows; search and table cover these.`;

  // --- search and table ---------------------------------------------------------------------------------------
  let timer = 0;
  at("search").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 120); });

  function search() {
    listed = rows.search(at("search").value);
    first = 0;
    map.lightUp(listed);
    const kept = listed?.filter(rows.kept).length;
    status.textContent = listed ? `${count.format(listed.length)} ${listed.length === 1 ? "row matches" : "rows match"}: ${count.format(kept)} kept, ${count.format(listed.length - kept)} dropped.` : "";
    listRows();
  }

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
    at("rows-note").textContent = listed ? "Rows that match the search." : "All rows of the map; search above to find some.";
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

  // --- keeper look-up -----------------------------------------------------------------------------------------
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
    if (i !== undefined) return showKeeper(rows, i, at("keeper"), data.pool);
    const where = data.sample ? "this page carries only a sample of the rows; order.parquet beside it has all" : `rows are numbered 0 to ${count.format(data.pool - 1)}`;
    at("keeper").replaceChildren(element("p", {}, `No row ${words.trim() || "given"} here: ${where}.`));
  }

  // --- figures ------------------------------------------------------------------------------------------------
  if (data.curve) drawCurve(data);
  if (data.nearest.length) drawNearest(data);
  drawComparison("lengths", "text length in characters", data.lengths);
  data.fields.forEach((field, f) => drawComparison(`field-${f}`, field.name, field));
  document.documentElement.dataset.ready = "true";
})();
