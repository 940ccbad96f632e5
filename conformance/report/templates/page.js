"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const wheelIndex = new Map(data.wheels.map((wheel, index) => [wheel.label, index]));
  const requirementIndex = new Map(data.requirements.map((item, index) => [item.id, index]));
  const dialog = document.getElementById("evidence");
  const SVG = "http://www.w3.org/2000/svg";

  // Elements are made here and text only ever set as text: nothing from a wheel is read as markup.
  function make(name, attributes, ...children) {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "onclick") element.addEventListener("click", value);
      else if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...children.filter((child) => child !== null));
    return element;
  }
  function icon(verdict) {
    const svg = document.createElementNS(SVG, "svg");
    const use = document.createElementNS(SVG, "use");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", "#v-" + verdict);
    svg.append(use);
    return svg;
  }
  function prose(text) {
    return text.split(/`([^`]+)`/).map((part, index) => (index % 2 ? make("code", {}, part) : part));
  }
  const word = (verdict) => (verdict === "none" ? "no result" : data.verdicts[verdict][0]);
  const badge = (verdict) => make("span", { class: "badge v-" + verdict }, icon(verdict), word(verdict));
  const findings = (requirement, wheel) => data.cells[wheel][requirement].map((index) => data.findings[index]);
  function verdictOf(requirement, wheel) {
    const found = findings(requirement, wheel);
    return found.length ? found[0][1] : "none";
  }
  const fill = (command, requirement, wheel) =>
    command.replaceAll("{wheel}", data.wheels[wheel].label).replaceAll("{requirement}", data.requirements[requirement].id);

  async function copy(text, button) {
    let done = true;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // A page opened from a file, or without permission: copy the old way.
      const area = make("textarea", { style: "position:fixed;opacity:0" });
      area.value = text;
      dialog.append(area);
      area.select();
      done = document.execCommand("copy");
      area.remove();
      button.focus();
    }
    const label = button.textContent;
    button.textContent = done ? "Copied" : "Select and copy";
    setTimeout(() => { button.textContent = label; }, 1400);
  }

  // --- evidence -----------------------------------------------------------------------------------------------------------

  let shown = null;
  const siblings = (wheel) => {
    const own = data.wheels[wheel];
    return data.wheels.map((_, index) => index).filter((index) => data.wheels[index].nightly === own.nightly);
  };
  function step(rows, columns) {
    if (!shown) return;
    const row = siblings(shown.wheel);
    const wheel = row[row.indexOf(shown.wheel) + columns];
    const requirement = shown.requirement + rows;
    if (wheel !== undefined && data.requirements[requirement]) show(requirement, wheel);
  }
  function findingBlock(found, requirement, wheel, several) {
    const [lane, verdict, message, observed, command, seed, link, address] = found;
    const repeated = fill(command, requirement, wheel);
    const button = make("button", { type: "button", class: "copy", onclick: () => copy(repeated, button) }, "Copy");
    const rows = [["lane", lane], ["seed", seed === null ? "none: nothing random in it" : String(seed)]];
    if (link) rows.push(["discussed", address ? make("a", { href: address }, link.replace("https://", "")) : link]);
    return make("div", {},
      several ? make("h3", {}, "Lane " + lane) : null,
      make("p", { class: "finding v-" + verdict }, icon(verdict),
        make("span", {}, make("b", {}, verdict.replaceAll("_", " ")), ": " + message)),
      make("p", { class: "quiet" }, data.verdicts[verdict][1]),
      observed.length ? make("h3", {}, "Observed") : null,
      observed.length ? make("pre", { class: "observed" }, observed.join("\n")) : null,
      make("h3", {}, "Repeat it"),
      make("div", { class: "command" }, make("pre", {}, make("code", { style: "padding:0" }, repeated)), button),
      list(rows));
  }
  function list(rows) {
    const made = make("dl", {});
    for (const [term, value] of rows) made.append(make("dt", {}, term), make("dd", {}, value));
    return made;
  }
  function show(requirement, wheel) {
    shown = { requirement, wheel };
    const item = data.requirements[requirement];
    const own = data.wheels[wheel];
    const found = findings(requirement, wheel);
    const source = make("span", {});
    for (const [text, address] of item.source) source.append(address ? make("a", { href: address }, text) : text);
    const nav = (label, title, rows, columns) =>
      make("button", { type: "button", title, "aria-label": title, onclick: () => step(rows, columns) }, label);
    const strip = make("div", { class: "strip" });
    for (const [index, other] of data.wheels.entries()) {
      if (other.nightly) continue;
      const verdict = verdictOf(requirement, index);
      strip.append(make("button", {
        type: "button", class: "v-" + verdict, "aria-current": index === wheel, title: word(verdict),
        onclick: () => show(requirement, index),
      }, icon(verdict), other.label));
    }
    const hash = "#" + item.id + "/" + own.label;
    const link = make("button", {
      type: "button", onclick: () => copy(location.href.split("#")[0] + hash, link),
    }, "Copy link");
    const rows = [["file", make("code", {}, own.file)], ["sha256", make("code", { class: "sha256" }, own.sha256)],
      [own.nightly ? "built" : "published", own.built], ["size", (own.size / 1e6).toFixed(2) + " MB"]];
    if (own.page) rows.push(["more", make("a", { href: own.page }, "all that is known of this wheel")]);
    dialog.replaceChildren(
      make("div", { class: "evidence-bar" },
        make("h2", { id: "evidence-title" }, item.id + " on " + own.label),
        nav("←", "Wheel before", 0, -1), nav("→", "Next wheel", 0, 1),
        nav("↑", "Requirement before", -1, 0), nav("↓", "Next requirement", 1, 0),
        make("button", { type: "button", class: "close", "aria-label": "Close", title: "Close (Esc)", onclick: () => dialog.close() }, "✕")),
      make("div", { class: "evidence-body" },
        make("p", { class: "sentence" }, make("span", { class: "level " + item.level }, item.level), " ", ...prose(item.sentence)),
        make("p", { class: "quiet" }, make("b", {}, "If not: "), ...prose(item.why)),
        ...(found.length
          ? found.map((one) => findingBlock(one, requirement, wheel, found.length > 1))
          : [make("p", { class: "finding v-none" }, "No result for this wheel.")]),
        make("h3", {}, "Wheel"), list(rows), link,
        make("h3", {}, "On the stable wheels"), strip,
        make("h3", {}, "Source of the requirement"), make("p", { style: "margin:.2rem 0" }, source)));
    if (location.hash !== hash) history.replaceState(null, "", hash);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  }
  dialog.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move || event.altKey || event.ctrlKey || event.metaKey) return;
    // Up and down scroll a long page of evidence before they change it.
    const room = move[0] > 0 ? dialog.scrollTop + dialog.clientHeight < dialog.scrollHeight - 2 : move[0] < 0 && dialog.scrollTop > 0;
    if (room) return;
    event.preventDefault();
    step(...move);
  });
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    const last = shown;
    shown = null;
    history.replaceState(null, "", location.pathname + location.search);
    if (!last) return;
    const name = "#" + data.requirements[last.requirement].id + "/" + data.wheels[last.wheel].label;
    const cell = document.querySelector("a.cell[href=\"" + name + "\"]");
    if (cell && cell.offsetParent) focusCell(cell);
  });

  // --- moving in a grid by arrow keys --------------------------------------------------------------------------------------

  function focusCell(cell) {
    for (const other of cell.closest("table").querySelectorAll("a.cell[tabindex='0']")) other.tabIndex = -1;
    cell.tabIndex = 0;
    cell.focus();
  }
  function prepare(table) {
    const cells = table.querySelectorAll("a.cell");
    cells.forEach((cell, index) => { cell.tabIndex = index ? -1 : 0; });
    table.addEventListener("keydown", (event) => {
      const cell = event.target.closest("a.cell");
      const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -999], End: [0, 999] }[event.key];
      if (!cell || !move) return;
      event.preventDefault();
      const rows = [...table.querySelectorAll("tr[data-id]")].filter((row) => !row.hidden && row.offsetParent);
      const visible = (row) => [...row.querySelectorAll("a.cell")].filter((item) => item.offsetParent);
      const row = cell.closest("tr");
      const column = visible(row).indexOf(cell);
      const target = rows[rows.indexOf(row) + move[0]];
      if (!target) return;
      const others = visible(target);
      focusCell(others[Math.max(0, Math.min(others.length - 1, column + move[1]))]);
    });
  }
  document.querySelectorAll("table.grid").forEach(prepare);

  // --- filters ---------------------------------------------------------------------------------------------------------------

  const filters = document.querySelector("#grid .filters");
  filters.hidden = false;
  filters.addEventListener("submit", (event) => event.preventDefault());
  function filter() {
    const { text, group, level, python, changes, shown: output } = filters.elements;
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    let total = 0;
    for (const body of document.querySelectorAll("#grid tbody[data-group]")) {
      let any = false;
      for (const row of body.querySelectorAll("tr[data-id]")) {
        const item = data.requirements[requirementIndex.get(row.dataset.id)];
        const haystack = (item.id + " " + item.sentence + " " + item.why).toLowerCase();
        const keep = words.every((one) => haystack.includes(one)) && (!group.value || group.value === body.dataset.group) &&
          (!level.value || level.value === item.level) && (!changes.checked || row.dataset.changing === "1");
        row.hidden = !keep;
        any = any || keep;
        count += keep;
        total += 1;
      }
      body.hidden = !any;
    }
    for (const column of document.querySelectorAll("#grid [data-python]")) column.hidden = Boolean(python.value) && column.dataset.python !== python.value;
    for (const head of document.querySelectorAll("#grid th[data-version]")) {
      const own = data.wheels.filter((wheel) => !wheel.nightly && wheel.label.split("@")[0] === head.dataset.version &&
        (!python.value || wheel.label.endsWith("@" + python.value)));
      head.hidden = !own.length;
      head.colSpan = Math.max(1, own.length);
    }
    output.value = count === total ? "" : count + " of " + total + " requirements";
  }
  // The query holds the filters, so that a filtered page can be sent to somebody: ?python=cp310&changes=1
  const asked = new URLSearchParams(location.search);
  for (const name of ["text", "group", "level", "python"]) {
    if (asked.has(name)) filters.elements[name].value = asked.get(name);
    if (filters.elements[name].selectedIndex === -1) filters.elements[name].value = "";
  }
  filters.elements.changes.checked = asked.has("changes");
  function remember() {
    const query = new URLSearchParams();
    for (const name of ["text", "group", "level", "python"]) if (filters.elements[name].value) query.set(name, filters.elements[name].value);
    if (filters.elements.changes.checked) query.set("changes", "1");
    history.replaceState(null, "", location.pathname + (query.size ? "?" + query : "") + location.hash);
    filter();
  }
  for (const kind of ["input", "change"]) filters.addEventListener(kind, remember);
  if (asked.size) filter();

  // --- two wheels ------------------------------------------------------------------------------------------------------------

  const pair = document.querySelector("form.pair");
  const compared = document.getElementById("compared");
  function differenceTable(items) {
    // As in conformance/report/grouping.py: one line for each kind, unless the values themselves matter.
    const single = new Set(["overflow assertion", "capacity formula", "launch default", "kernel type", "ROCm", "kernel code", "Python code"]);
    const groups = new Map();
    for (const item of items) {
      const [, area, change, subject, , , consequence] = item;
      const key = JSON.stringify([area, change, consequence, single.has(area) || change === "changed" || change === "moved" ? subject : ""]);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(item);
    }
    const body = make("tbody", {});
    for (const group of groups.values()) {
      const [, area, change, , before, after, consequence] = group[0];
      const names = make("td", { class: "names" });
      for (const item of group) names.append(make("code", { class: item[3].length > 60 ? "long" : null }, item[3]), " ");
      if (group.length === 1 && change !== "moved" && (before || after)) {
        names.append(make("div", { class: "values" }, before ? make("del", {}, before) : null, after ? make("ins", {}, after) : null));
      }
      body.append(make("tr", {}, make("td", {}, area, make("span", { class: "change" }, " " + change)), names, make("td", {}, consequence)));
    }
    return make("div", { class: "scroller" }, make("table", { class: "differences" }, body));
  }
  function compare(before, after) {
    const found = data.pairs[before + "|" + after];
    const parts = [make("h3", { style: "margin-top:.2rem" }, before + " → " + after)];
    if (before === after) {
      parts.push(make("p", { class: "quiet" }, "The same wheel."));
    } else if (!found) {
      parts.push(make("p", { class: "quiet" }, "Not computed here. This prints it: "), make("pre", {}, "moriep diff " + before + " " + after));
    } else {
      const [a, b] = [wheelIndex.get(before), wheelIndex.get(after)];
      const changes = make("ul", { class: "verdict-changes" });
      data.requirements.forEach((item, index) => {
        const [one, other] = [verdictOf(index, a), verdictOf(index, b)];
        if (one !== other) {
          changes.append(make("li", {}, make("a", { href: "#" + item.id + "/" + after }, make("b", {}, item.id)), " ", badge(one), " → ", badge(other), " ", ...prose(item.sentence)));
        }
      });
      parts.push(changes.children.length ? changes : make("p", { class: "quiet" }, "No verdict changes."));
      data.weights.forEach(([name, meaning], weight) => {
        const items = found[0].map((index) => data.differences[index]).filter((item) => item[0] === weight);
        if (!items.length) return;
        parts.push(make("details", { class: "weight", open: weight < 2 },
          make("summary", {}, make("span", { class: "tag w-" + name }, name), " " + items.length + " ", make("span", { class: "quiet" }, "· " + meaning)),
          differenceTable(items)));
      });
      if (!found[0].length) parts.push(make("p", {}, "The survey finds no difference."));
      for (const text of data.unknown[found[1]]) parts.push(make("p", { class: "quiet" }, "Not compared: " + text + "."));
    }
    compared.replaceChildren(...parts);
    compared.hidden = false;
  }
  if (pair) {
    const { before, after, swap } = pair.elements;
    pair.hidden = false;
    pair.addEventListener("submit", (event) => event.preventDefault());
    const changed = () => { compare(before.value, after.value); history.replaceState(null, "", "#compare/" + before.value + "/" + after.value); };
    before.addEventListener("change", changed);
    after.addEventListener("change", changed);
    swap.addEventListener("click", () => { [before.value, after.value] = [after.value, before.value]; changed(); });
    const first = document.querySelector("details.step");
    const [, from, to] = first.id.split("/");
    [before.value, after.value] = [from, to];
    compare(from, to);
  }

  // --- every nightly ---------------------------------------------------------------------------------------------------------

  const every = document.querySelector("details.every");
  if (every) {
    every.hidden = false;
    every.addEventListener("toggle", () => {
      const box = every.querySelector(".grid-box");
      if (!every.open || box.children.length) return;
      const row = data.wheels.map((_, index) => index).filter((index) => data.wheels[index].nightly);
      const head = make("tr", {}, make("td", { class: "corner" }));
      for (const index of row) head.append(make("th", { scope: "col", title: data.wheels[index].label }, make("span", {}, data.wheels[index].built.slice(5))));
      const body = make("tbody", {});
      data.requirements.forEach((item, requirement) => {
        const line = make("tr", { "data-id": item.id }, make("th", { scope: "row" }, item.id));
        let before = null;
        for (const index of row) {
          const verdict = verdictOf(requirement, index);
          const known = verdict !== "not_run" && verdict !== "none";
          const changed = known && before !== null && before !== verdict;
          if (known) before = verdict;
          const name = item.id + " on " + data.wheels[index].label + ": " + word(verdict);
          line.append(make("td", {}, make("a", {
            class: "cell v-" + verdict + (changed ? " changed" : ""), href: "#" + item.id + "/" + data.wheels[index].label, title: name, "aria-label": name,
          }, icon(verdict))));
        }
        body.append(line);
      });
      const table = make("table", { class: "grid" }, make("thead", {}, head), body);
      box.append(table);
      prepare(table);
    });
  }

  // --- deep links ------------------------------------------------------------------------------------------------------------

  function follow() {
    const parts = decodeURIComponent(location.hash.slice(1)).split("/");
    if (parts[0] === "compare" && parts.length === 3 && pair) {
      const { before, after } = pair.elements;
      [before.value, after.value] = [parts[1], parts[2]];
      compare(parts[1], parts[2]);
      document.getElementById("compare").scrollIntoView();
      return;
    }
    const [requirement, wheel] = [requirementIndex.get(parts[0]), wheelIndex.get(parts[1])];
    if (parts.length === 2 && requirement !== undefined && wheel !== undefined) {
      show(requirement, wheel);
      const cell = document.querySelector("a.cell[href=\"#" + parts.join("/") + "\"]");
      // After the browser's own jump, so that closing leaves the reader at the cell.
      const center = () => cell.scrollIntoView({ block: "center", inline: "center" });
      if (cell && document.readyState === "complete") center();
      else if (cell) addEventListener("load", () => setTimeout(center));
    }
    else if (dialog.open) dialog.close();
  }
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const parts = decodeURIComponent(link.hash.slice(1)).split("/");
    if (parts.length === 2 && requirementIndex.has(parts[0]) && wheelIndex.has(parts[1])) {
      event.preventDefault();
      show(requirementIndex.get(parts[0]), wheelIndex.get(parts[1]));
    } else if (parts[0] === "compare" && parts.length === 3 && pair) {
      event.preventDefault();
      history.replaceState(null, "", link.hash);
      follow();
    }
  });
  addEventListener("hashchange", follow);
  if (location.hash) follow();
})();
