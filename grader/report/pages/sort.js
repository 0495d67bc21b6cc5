for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.classList.contains("fixed")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down > 0 ? "ascending" : "descending");
      const value = (row) => {
        const cell = row.cells[column];
        const text = cell.dataset.value ?? cell.textContent.trim();
        return text !== "" && !isNaN(text) ? Number(text) : text;
      };
      const compare = (a, b) => {
        if (a === "" || b === "") return (a === "") - (b === "");
        if (typeof a === "number" && typeof b === "number") return down * (a - b);
        return down * String(a).localeCompare(String(b), "en", { numeric: true });
      };
      const rows = [...table.tBodies[0].rows].map((row) => [value(row), row]);
      rows.sort(([a], [b]) => compare(a, b));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  });
}
