"use strict";
// Search, filter and sort of the table of items. The page is complete without it.
(() => {
  const table = document.getElementById("items");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const tools = document.getElementById("tools");
  const search = document.getElementById("search");
  const state = document.getElementById("state");
  const shown = document.getElementById("shown");
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const show = () => {
    const wanted = search.value.trim().toLowerCase();
    let count = 0;
    rows.forEach((row, index) => {
      const visible = texts[index].includes(wanted) && (!state.value || row.dataset.state === state.value);
      row.hidden = !visible;
      if (visible) count += 1;
    });
    shown.textContent = count === rows.length ? "" : `${count.toLocaleString("en-GB")} of ${rows.length.toLocaleString("en-GB")} shown`;
  };
  search.addEventListener("input", show);
  state.addEventListener("change", show);
  tools.hidden = false;
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const sorted = [...rows].sort((left, right) => {
        const [a, b] = [value(left, column), value(right, column)];
        const order = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en");
        return down ? -order : order;
      });
      body.append(...sorted);
    });
  });
})();
