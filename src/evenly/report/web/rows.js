"use strict";
// The rows of the page, read once; everything else asks here. Row text enters the document as text only.

function readRows(data) {
  const columns = data.rows;
  const place = new Map(columns.row.map((row, i) => [row, i]));
  const ends = d3.cumsum(data.sources, (source) => source.rows);
  const excluded = new Map(Object.entries(data.excluded).flatMap(([reason, list]) => list.map((row) => [row, reason])));
  const droppedDistances = Float64Array.from(d3.range(data.mapped).filter((i) => columns.rank[i] < 0).map((i) => columns.distance[i])).sort();
  let haystack = null;
  return {
    ...columns,
    count: columns.row.length,
    mapped: data.mapped,
    place: (row) => place.get(row),
    kept: (i) => columns.rank[i] >= 0,
    source: (i) => d3.bisectRight(ends, columns.row[i]),
    excludedBy: (i) => excluded.get(columns.row[i]),
    // The share of dropped rows that lie farther from their nearest kept row.
    farther: (distance) => (droppedDistances.length ? 1 - d3.bisectRight(droppedDistances, distance) / droppedDistances.length : 0),
    placeOf(words) {
      const asked = words.trim().replace(/^row\s+/i, "");
      if (/^\d+$/.test(asked) && place.has(Number(asked))) return place.get(Number(asked));
      const i = columns.id.indexOf(asked);
      return i < 0 ? undefined : i;
    },
    // Every word must occur, in any order and case.
    search(query) {
      const words = query.toLocaleLowerCase().split(/\s+/).filter(Boolean);
      if (!words.length) return null;
      haystack ??= columns.prompt.map((prompt, i) => `${prompt}\n${columns.response[i]}\n${columns.id[i]}`.toLocaleLowerCase());
      const found = [];
      for (let i = 0; i < data.mapped; i++) if (words.every((word) => haystack[i].includes(word))) found.push(i);
      return found;
    },
  };
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child != null)); // strings become text nodes, never markup
  return made;
}

const count = new Intl.NumberFormat("en");

function quantity(value) {
  if (value == null) return "–";
  if (value === 0) return "0";
  return Math.abs(value) < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(3)));
}

function rowButton(rows, i) {
  return element("button", { type: "button", class: "link", "data-row": rows.row[i] }, `row ${rows.row[i]}`);
}

function rowTexts(rows, i) {
  const texts = [element("div", { class: "text", dir: "auto" }, rows.prompt[i])];
  if (rows.response[i]) texts.push(element("div", { class: "text answer", dir: "auto" }, rows.response[i]));
  return texts;
}

function keptMark(rows, i) {
  const word = rows.kept(i) ? "kept" : "dropped";
  return element("span", { class: `mark ${word}` }, word);
}

function rowCard(rows, i, heading) {
  const standing = rows.kept(i) ? `pick ${count.format(rows.rank[i] + 1)}, stands for ${count.format(rows.covers[i])} rows` : "";
  const facts = [`${count.format(rows.characters[i])} characters`, standing].filter(Boolean).join(" · ");
  return element("div", { class: "row" }, heading && element("h3", {}, heading),
    element("p", { class: "meta" }, keptMark(rows, i), element("span", {}, `row ${rows.row[i]}`), element("span", { class: "quiet" }, facts)),
    element("p", { class: "meta quiet" }, rows.id[i]), ...rowTexts(rows, i));
}

// Why a row was dropped, in one sentence.
function whyDropped(rows, i, closest, regions) {
  const distance = rows.distance[i];
  const reason = rows.excludedBy(i);
  if (reason) return `A control kept it from being picked: ${reason}.`;
  if (distance === 0) return "It is a copy of a kept row: their vectors are equal.";
  const region = regions.small[regions.of[i]];
  const nearness = rows.farther(distance);
  const beside = `${Math.round(100 * nearness)} % of the dropped rows are farther from theirs`;
  const crowd = region ? ` Its region${region.name && `, ${region.name},`} holds ${count.format(region.pool)} rows, of which ${count.format(region.kept)} were kept.` : "";
  if (closest != null && distance < closest / 4) return `It is nearly a copy: its nearest kept row is at ${quantity(distance)}, less than a quarter of the least distance between kept rows (${quantity(closest)}); ${beside}.${crowd}`;
  return `A kept row lies near it, at ${quantity(distance)}${closest == null ? "" : `; kept rows keep at least ${quantity(closest)} from one another`}. ${beside[0].toUpperCase()}${beside.slice(1)}.${crowd}`;
}

// A row and the row that stands for it, into ``box``.
function showKeeper(rows, i, box, { pool, hMin, regions }) {
  if (rows.kept(i)) return box.replaceChildren(rowCard(rows, i, "This row was kept: it stands for itself"));
  const keeper = rows.keeper[i];
  const distance = `Kept instead, at distance ${quantity(rows.distance[i])}`;
  const other = keeper < pool ? rowCard(rows, rows.place(keeper), distance)
    : element("div", { class: "row" }, element("h3", {}, distance), element("p", {}, `Anchor ${keeper - pool}, a row that counted as kept before the first pick.`));
  box.replaceChildren(element("p", { class: "why" }, element("b", {}, "Why was it dropped? "), whyDropped(rows, i, hMin, regions)), rowCard(rows, i, "Dropped"), other);
}
