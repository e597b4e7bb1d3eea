// Extras for who has scripts on: finding, filtering, sorting, opening all. The page is whole without it.
"use strict";
(() => {
  const made = (name, text) => { const one = document.createElement(name); one.textContent = text; return one; };
  const says = (one, text) => one.textContent.toLowerCase().includes(text);

  for (const tools of document.querySelectorAll("form.tools")) {
    const place = tools.parentElement, issues = [...place.querySelectorAll(".issue")];
    const { text, all } = tools.elements, boxes = [...tools.querySelectorAll("input[type=checkbox]")];
    const apply = () => {
      const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value)), sought = text.value.trim().toLowerCase();
      for (const issue of issues) issue.hidden = !(wanted.has(issue.dataset.severity) && says(issue, sought));
      for (const group of place.querySelectorAll(".group")) group.hidden = !group.querySelector(".issue:not([hidden])");
      const shown = issues.filter((issue) => !issue.hidden).length;
      tools.querySelector("output").textContent = shown === issues.length ? "" : `${shown} of ${issues.length} shown`;
    };
    all.addEventListener("click", () => {
      const closed = all.textContent === "Open all";
      for (const one of place.querySelectorAll("details")) one.open = closed;
      all.textContent = closed ? "Close all" : "Open all";
    });
    tools.addEventListener("input", apply);
    tools.addEventListener("submit", (event) => event.preventDefault());
    tools.hidden = false;
  }

  const key = (row, column) => {
    const cell = row.cells[column], given = cell.dataset.key ?? cell.textContent.trim();
    return given !== "" && !Number.isNaN(Number(given)) ? Number(given) : given.toLowerCase();
  };
  const order = (one, other) => (typeof one === typeof other ? (one < other ? -1 : one > other ? 1 : 0) : typeof one === "number" ? -1 : 1);
  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
    heads.forEach((head, column) => {
      const button = made("button", head.textContent);
      button.type = "button";
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const up = head.getAttribute("aria-sort") !== "ascending";
        for (const one of heads) one.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", up ? "ascending" : "descending");
        const rows = [...body.rows].map((row) => [key(row, column), row]);
        rows.sort((one, other) => (up ? order(one[0], other[0]) : order(other[0], one[0])));
        body.append(...rows.map((row) => row[1]));
      });
    });
    if (!table.dataset.filter || body.rows.length < 10) continue;
    const label = made("label", `Find in ${table.dataset.filter} `), input = made("input", ""), line = made("p", "");
    input.type = "search";
    input.addEventListener("input", () => {
      const sought = input.value.trim().toLowerCase();
      for (const row of body.rows) row.hidden = !says(row, sought);
    });
    label.append(input);
    line.append(label);
    line.className = "tools";
    table.parentElement.before(line);
  }

  const reveal = () => {
    let one = location.hash && document.getElementById(location.hash.slice(1));
    for (; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
