"use strict";
// What pages can do besides being read. Everything can be read without it.

document.documentElement.classList.add("scripted");

const page = {
  // Calls a function when the page has been read.
  ready(run) {
    if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", run);
    else run();
  },
  // Returns whether a person is writing.
  isTyping(target) {
    return target.closest && target.closest("input, select, textarea, [contenteditable]") !== null;
  },
};

// Light or dark: as the system has it, or as was chosen here.
{
  const root = document.documentElement;
  let stored = null;
  try { stored = localStorage.getItem("theme"); } catch { /* It is not kept. */ }
  if (stored === "light" || stored === "dark") root.dataset.theme = stored;
  page.ready(() => {
    const button = document.getElementById("theme");
    if (!button) return;
    const name = { light: "Light", dark: "Dark" };
    const show = () => { button.textContent = name[root.dataset.theme] || "Auto"; button.title = "Theme: light, dark, or as the system has it"; };
    show();
    button.addEventListener("click", () => {
      const next = { undefined: "light", light: "dark", dark: undefined }[root.dataset.theme];
      if (next) root.dataset.theme = next; else delete root.dataset.theme;
      try {
        if (next) localStorage.setItem("theme", next); else localStorage.removeItem("theme");
      } catch { /* It is not kept. */ }
      show();
    });
  });
}

// Keys: "/" searches, "j" and "k" move, "?" lists them.
{
  let at = -1;
  const isShown = (row) => row.offsetParent !== null;
  const move = (step) => {
    const marks = document.querySelectorAll("#log mark");
    const rows = [...(marks.length ? marks : document.querySelectorAll("main [data-row]"))].filter(isShown);
    if (!rows.length) return;
    const current = rows.findIndex((row) => row.classList.contains("here"));
    at = Math.min(rows.length - 1, Math.max(0, (current < 0 ? (step > 0 ? -1 : rows.length) : current) + step));
    document.querySelectorAll(".here").forEach((row) => row.classList.remove("here"));
    const row = rows[at];
    row.classList.add("here");
    const target = row.querySelector("a, summary");
    if (target) target.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };
  const keys = {
    "/": () => { const field = document.getElementById("q") || document.getElementById("find"); if (field) { field.focus(); field.select(); } },
    j: () => move(1),
    k: () => move(-1),
    g: () => scrollTo({ top: 0 }),
    G: () => scrollTo({ top: document.body.scrollHeight }),
    t: () => document.getElementById("times")?.click(),
    f: () => document.getElementById("follow")?.click(),
    e: () => document.querySelector(".jump")?.click(),
    "?": () => document.getElementById("help")?.showModal(),
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && page.isTyping(event.target)) event.target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || page.isTyping(event.target)) return;
    if (document.getElementById("help")?.open || !Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  });
  page.ready(() => document.getElementById("keys")?.addEventListener("click", keys["?"]));
}

// Commands to copy.
document.addEventListener("click", async (event) => {
  const button = event.target.closest?.("button.copy");
  const code = button?.parentElement.querySelector("code");
  if (!code) return;
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    // Without the right to write to the clipboard: selected, to be copied by hand.
    getSelection().selectAllChildren(code);
    button.textContent = "Selected";
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2000);
});

// Exact times, in the time zone of the reader.
{
  const localize = (root) => {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const date = new Date(time.dateTime);
      if (!Number.isNaN(date.getTime())) time.title = date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
    }
  };
  page.localize = localize;
  page.ready(() => localize(document));
}

// A stream of events that is opened again whenever it breaks, also if the server refuses it for a while.
page.stream = (address, listeners, refused) => {
  const RETRY_AFTER = 4000;
  let source = null;
  let isEnded = false;
  const open = () => {
    if (isEnded) return;
    source = new EventSource(address());
    for (const [name, run] of Object.entries(listeners)) source.addEventListener(name, run);
    source.addEventListener("error", () => {
      refused?.();
      // Otherwise the browser connects again by itself.
      if (source.readyState === EventSource.CLOSED) setTimeout(open, RETRY_AFTER);
    });
  };
  open();
  return { close() { isEnded = true; source.close(); } };
};

// The page follows: when something has changed, its parts are replaced by those of the page as it is now.
page.ready(() => {
  const address = document.body.dataset.events;
  if (!address || !window.EventSource) return;
  const live = document.getElementById("live");
  const say = (text) => { live.textContent = text; live.hidden = !text; };
  const PAUSE = 2000;
  let last = Date.now();
  let waiting = false;
  const load = async () => {
    waiting = false;
    if (document.hidden) { stale = true; return; }
    last = Date.now();
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { Accept: "text/html" } });
      if (!answer.ok) { say("cannot refresh: " + answer.status); return; }
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      page.localize(fresh);
      replace(fresh);
      say("");
    } catch {
      say("scheduler not reachable; retrying");
    }
  };
  let stale = false;
  const replace = (fresh) => {
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      // What has the focus or is opened by the reader stays.
      const isInUse = part.contains(document.activeElement) && document.activeElement.matches("input, button, summary");
      if (next && !isInUse && next.outerHTML !== part.outerHTML) {
        // What the reader has unfolded stays so.
        part.querySelectorAll("details[id][open]").forEach((open) => {
          const again = fresh.getElementById(open.id);
          if (again && next.contains(again)) again.open = true;
        });
        const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
        part.replaceWith(document.adoptNode(next));
        if (focused) document.getElementById(part.id)?.querySelector('a[href="' + CSS.escape(focused) + '"]')?.focus({ preventScroll: true });
      }
    }
    // A part that is new, such as the log of a job that has begun to run, or of another attempt.
    const log = (page) => page.getElementById("log")?.dataset.attempt;
    const isNew = (part) => !document.getElementById(part.id);
    if (log(fresh) !== log(document) || [...fresh.querySelectorAll("[data-live]")].some(isNew)) {
      location.reload();
      return;
    }
    document.title = fresh.title;
  };
  const changed = () => {
    if (waiting) return;
    waiting = true;
    setTimeout(load, Math.max(0, last + PAUSE - Date.now()));
  };
  page.changed = changed;
  let isLost = false;
  page.stream(() => address, {
    changed,
    // What happened meanwhile was not told.
    open: () => { say(""); if (isLost) { isLost = false; changed(); } },
  }, () => { isLost = true; say("scheduler not reachable; retrying"); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && stale) { stale = false; changed(); } });
});
