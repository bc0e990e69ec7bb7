"use strict";
(() => {
  const missing = (value) => value === null || Number.isNaN(value);

  function valueOf(row, column, kind) {
    const cell = row.cells[column];
    if (!cell) return kind === "n" ? null : "";
    if (kind !== "n") return cell.textContent.trim().toLowerCase();
    return cell.dataset.v === undefined ? null : Number(cell.dataset.v);
  }

  function sort(button) {
    const head = button.closest("th"), table = button.closest("table"), body = table.tBodies[0];
    const column = head.cellIndex, kind = button.dataset.sort;
    const up = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    const keyed = Array.from(body.rows, (row, index) => ({row, index, value: valueOf(row, column, kind)}));
    keyed.sort((a, b) => {
      // What was not measured stands last in either direction.
      if (kind === "n" && (missing(a.value) || missing(b.value))) {
        return missing(a.value) - missing(b.value) || a.index - b.index;
      }
      const order = kind === "n" ? a.value - b.value : a.value.localeCompare(b.value, undefined, {numeric: true});
      return (up ? order : -order) || a.index - b.index;
    });
    const sorted = document.createDocumentFragment();
    for (const {row} of keyed) sorted.append(row);
    body.append(sorted);
  }

  function filter(input) {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    const table = document.getElementById(input.dataset.filter);
    let shown = 0;
    for (const row of table.tBodies[0].rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += !row.hidden;
    }
    const place = document.querySelector(`[data-shown="${input.dataset.filter}"]`);
    const all = table.tBodies[0].rows.length, noun = place.dataset.noun;
    place.textContent = `${shown === all ? all : `${shown} of ${all}`} ${noun}${all === 1 ? "" : "s"}`;
  }

  // Of many models each is one comment until it is opened.
  function heldIn(details) {
    return Array.from(details.childNodes).find((node) => node.nodeType === Node.COMMENT_NODE);
  }

  function make(details) {
    const held = heldIn(details);
    if (!held) return;
    const made = document.createElement("template");
    made.innerHTML = held.data;
    held.replaceWith(made.content);
  }

  function openTarget() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target && target.matches("details")) {
      make(target);
      target.open = true;
      target.scrollIntoView();
    }
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-sort]");
    if (button) sort(button);
    const link = event.target.closest("a[href^='#']");
    if (link && link.hash === location.hash) openTarget();
  });
  for (const input of document.querySelectorAll("input[data-filter]")) {
    let waiting = 0;
    input.addEventListener("input", () => {
      clearTimeout(waiting);
      waiting = setTimeout(() => filter(input), 80);
    });
    filter(input);
  }
  document.addEventListener("toggle", (event) => {
    if (event.target.matches("details.model") && event.target.open) make(event.target);
  }, true);
  addEventListener("hashchange", openTarget);
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details.model:not([open])")) {
      if (!heldIn(details)) details.open = true;
    }
  });
  openTarget();
})();
