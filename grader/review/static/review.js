"use strict";
// Grading by keyboard. Without this script every page works as plain forms and links.

(() => {
  const HEADERS = { "x-grader-review": "1", "x-csrf": document.querySelector('meta[name="csrf"]').content };
  const RETRY_AFTER = 1000;
  const KEEP_EVERY = 40000;
  const status = document.getElementById("status");
  let ready = null; // the next answer's page, fetched while this one is read
  let saving = Promise.resolve(true); // the last save, after all before it
  let counted = null; // how far the item is, as the last save told
  let moving = false;
  let leaving = false;

  const view = () => document.getElementById("answer");
  const form = () => document.getElementById("grade");

  function say(text, kind = "") {
    status.className = kind;
    status.textContent = text;
  }

  function newAct() {
    return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  function pause(time) {
    return new Promise((resolve) => setTimeout(resolve, time));
  }

  // Sends an action until the server has answered: its act's id makes a repeated one harmless.
  async function send(address, fields) {
    for (;;) {
      try {
        const reply = await fetch(address, { method: "POST", headers: HEADERS, body: fields });
        const isJson = (reply.headers.get("content-type") || "").startsWith("application/json");
        const data = isJson ? await reply.json() : { problem: await reply.text() };
        return reply.ok ? data : { problem: data.problem || "the server refused it" };
      } catch {
        if (leaving) return { problem: "not saved" };
        say("not saved: the server does not answer; trying again", "problem");
        await pause(RETRY_AFTER);
      }
    }
  }

  function fieldsOf(element, more = {}) {
    const fields = new URLSearchParams(new FormData(element));
    for (const [name, value] of Object.entries(more)) fields.set(name, value);
    return fields;
  }

  function save() {
    const current = form();
    if (!current || view().dataset.readOnly) return saving;
    const address = current.action;
    const fields = fieldsOf(current, { act: newAct() });
    current.dataset.saved = contents(current);
    say("saving");
    saving = saving.then(async () => {
      const data = await send(address, fields);
      if (data.problem) {
        say(`not saved: ${data.problem}`, "problem");
        delete current.dataset.saved;
        return false;
      }
      say(data.message, "saved");
      counted = { item: address.split("/").at(-3), ...data };
      if (current.isConnected) {
        document.getElementById("score").textContent = data.message.replace("saved: ", "");
        showFold();
        count();
      }
      return true;
    });
    return saving;
  }

  // A page that was ready before the last save does not count it yet.
  function count() {
    const text = document.getElementById("progress");
    if (!text || !counted || view().dataset.place.split("/")[0] !== counted.item) return;
    const left = counted.left && counted.graded < counted.total ? `, ${counted.left} left` : "";
    text.textContent = `${counted.graded} of ${counted.total} graded${left}`;
    view().querySelector("progress").value = counted.graded;
  }

  function contents(element) {
    return fieldsOf(element).toString();
  }

  function isChanged() {
    const current = form();
    return Boolean(current) && !view().dataset.readOnly && contents(current) !== current.dataset.saved;
  }

  // An exclusive entry stands alone.
  function settleBoxes(box) {
    if (!box.checked) return;
    for (const other of box.form.querySelectorAll('input[name="entry"]')) {
      if (other !== box && ("exclusive" in box.dataset || "exclusive" in other.dataset)) other.checked = false;
    }
  }

  function toggle(key) {
    const box = document.querySelector(`#grade input[data-key="${key}"]`);
    if (!box || box.matches(":disabled")) return;
    box.checked = !box.checked;
    settleBoxes(box);
    save();
  }

  async function load(address) {
    const reply = await fetch(address, { headers: { accept: "text/html" } });
    if (!reply.ok) throw new Error(String(reply.status));
    const page = new DOMParser().parseFromString(await reply.text(), "text/html");
    for (const image of [...page.querySelectorAll("main img")].slice(0, 8)) new Image().src = image.getAttribute("src");
    return { page, address: reply.url };
  }

  // Waits for a server that is being restarted; null where it refuses.
  async function loadPatiently(address) {
    for (;;) {
      try {
        return await load(address);
      } catch (error) {
        if (!(error instanceof TypeError) || leaving) return null;
        say("the server does not answer; trying again", "problem");
        await pause(RETRY_AFTER);
      }
    }
  }

  function preload() {
    const next = view() && view().dataset.next;
    ready = null;
    if (!next) return;
    const fetched = load(next).catch(() => null);
    ready = { next, fetched, place: "" };
    fetched.then((found) => {
      if (ready && ready.fetched === fetched) ready.place = placeOf(found);
    });
  }

  function placeOf(found) {
    const shown = found && found.page.getElementById("answer");
    return shown ? shown.dataset.place : "";
  }

  function show(found, { push = true } = {}) {
    const main = document.querySelector("main");
    main.replaceChildren(...document.adoptNode(found.page.querySelector("main")).childNodes);
    document.title = found.page.title;
    if (push) history.pushState(null, "", found.address);
    say("");
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
    begin();
  }

  // Where nothing else comes first, the page begins at the place of the PDF that holds the answer.
  function lookAtAnswer() {
    const mark = document.querySelector("[data-begin] rect");
    if (!mark) return;
    const below = mark.getBoundingClientRect().top - document.documentElement.clientHeight / 3;
    if (below > 0) scrollBy(0, below);
  }

  function showFold() {
    const fold = document.getElementById("fold");
    if (!fold) return;
    const isFolded = document.body.classList.contains("folded");
    fold.hidden = !matchMedia("(max-width: 900px)").matches;
    fold.setAttribute("aria-expanded", String(!isFolded));
    fold.textContent = `${isFolded ? "Show" : "Hide"} rubric (${document.getElementById("score").textContent})`;
  }

  function begin() {
    if (form()) form().dataset.saved = contents(form());
    showFold();
    lookAtAnswer();
    if (view()) preload();
  }

  async function settled() {
    if (isChanged()) save();
    return saving;
  }

  // One move at a time, however often its key is pressed.
  function alone(move) {
    return async (...given) => {
      if (moving) return;
      moving = true;
      try {
        await move(...given);
      } finally {
        moving = false;
      }
    };
  }

  const next = alone(async () => {
    if (!view()?.dataset.next) document.getElementById("start")?.click();
    if (!view()?.dataset.next || !(await settled())) return;
    const waiting = ready && ready.next === view().dataset.next ? ready.fetched : null;
    let found = await waiting;
    // What was finished before the last save may be so in another way now.
    if (!placeOf(found)) found = await loadPatiently(view().dataset.next);
    if (found) {
      show(found);
      count();
    } else location.assign(view().dataset.next);
  });

  const go = alone(async (address) => {
    if (!address || !(await settled())) return;
    const found = await loadPatiently(address);
    if (found) show(found);
    else location.assign(address);
  });

  async function undo() {
    await settled();
    const data = await send("/undo", new URLSearchParams());
    if (view()) {
      const found = await loadPatiently(data.where || location.href);
      if (found) show(found);
      say(data.problem || data.message, data.problem ? "problem" : "saved");
    } else location.reload();
  }

  async function checkFormula(element) {
    const list = element.querySelector(".findings");
    const data = await send(element.action, fieldsOf(element));
    const lines = data.problem ? [data.problem] : data.findings.map((one) => one.message);
    list.replaceChildren(
      ...lines.map((line) => {
        const entry = document.createElement("li");
        entry.textContent = line;
        return entry;
      }),
    );
  }

  function isTyping(target) {
    return target.matches("textarea, select, input:not([type=checkbox])");
  }

  function help() {
    const dialog = document.getElementById("help");
    if (dialog.open) dialog.close();
    else dialog.showModal();
  }

  const KEYS = {
    n: next,
    s: () => go(view() && view().dataset.skip),
    p: () => go(view() && view().dataset.previous),
    c: () => document.getElementById("comment")?.focus(),
    a: () => document.getElementById("adjustment")?.focus(),
    u: undo,
    "/": () => document.getElementById("search")?.focus(),
    "?": help,
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (document.getElementById("help").open && event.key !== "?") return;
    const action = KEYS[event.key];
    if (action) {
      event.preventDefault();
      action();
    } else if (/^[1-9]$/.test(event.key)) {
      event.preventDefault();
      toggle(event.key);
    }
  });

  document.addEventListener("change", (event) => {
    if (event.target.name === "entry") settleBoxes(event.target);
    if (event.target.form && event.target.form === form()) save();
  });

  document.addEventListener("submit", (event) => {
    if (event.target === form()) {
      event.preventDefault();
      save();
    } else if (event.target.matches("[data-formula]")) {
      event.preventDefault();
      checkFormula(event.target);
    }
  });

  document.getElementById("show-help")?.removeAttribute("hidden");
  document.getElementById("show-help")?.addEventListener("click", help);
  matchMedia("(max-width: 900px)").addEventListener("change", showFold);

  document.addEventListener("click", (event) => {
    if (event.target.id === "fold") {
      document.body.classList.toggle("folded");
      showFold();
    }
    const link = event.target.closest(".moves a");
    if (!link || !view() || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const address = link.getAttribute("href");
    if (address === view().dataset.next || address === view().dataset.skip || address === view().dataset.previous) {
      event.preventDefault();
      if (address === view().dataset.next) next();
      else go(address);
    }
  });

  addEventListener("popstate", async () => {
    const found = await load(location.href).catch(() => null);
    if (found && view() && found.page.getElementById("answer")) show(found, { push: false });
    else location.reload();
  });

  addEventListener("beforeunload", (event) => {
    if (isChanged() || status.textContent === "saving") event.preventDefault();
    else leaving = true;
  });

  setInterval(() => {
    const open = [view() && view().dataset.place, ready && ready.place].filter(Boolean).join(" ");
    if (!open || (view() && view().dataset.readOnly)) return;
    fetch("/keep", { method: "POST", headers: HEADERS, body: new URLSearchParams({ open }) }).catch(() => {});
  }, KEEP_EVERY);

  begin();
})();
