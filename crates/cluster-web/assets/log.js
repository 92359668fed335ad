// The log of a job.

page.ready(() => {
  const log = document.getElementById("log");
  const lines = document.getElementById("lines");
  if (!log || !lines || !document.getElementById("log-end")) return;

  // Unfolds the step of a line, so that it can be seen.
  const reveal = (line) => { const step = line.closest("details"); if (step) step.open = true; };
  const end = document.getElementById("log-end");
  const isNear = () => Math.abs(end.getBoundingClientRect().bottom - innerHeight) < 200;
  const toEnd = () => end.scrollIntoView({ block: "end" });

  // #L120-130 shows lines 120 to 130.
  const RANGE = /^#([LB])(\d+)(?:-(\d+))?$/;
  const mark = (isAsked) => {
    const found = RANGE.exec(location.hash);
    // Without one, the server has marked the lines that were asked for.
    if (!found) return;
    lines.querySelectorAll(".in").forEach((line) => line.classList.remove("in"));
    const [, kind, from, to] = found;
    const first = document.getElementById(kind + from);
    if (!first) {
      // It is in another part of the log, which the server finds. It is asked only once.
      const query = new URLSearchParams(location.search);
      const name = kind === "L" ? "line" : "at";
      if (isAsked && query.get(name) !== from) {
        query.set(name, from);
        query.set("attempt", log.dataset.attempt);
        location.replace("?" + query + location.hash);
      }
      return;
    }
    const [low, high] = [Number(from), Number(to || from)].sort((a, b) => a - b);
    for (const line of lines.querySelectorAll("li")) {
      const number = Number(line.id.slice(1));
      if (number >= low && number <= high) { line.classList.add("in"); reveal(line); }
    }
    if (isAsked) first.scrollIntoView({ block: "center" });
  };
  addEventListener("hashchange", () => mark(true));

  // Shift and a click make a range.
  lines.addEventListener("click", (event) => {
    const link = event.target.closest("li > a");
    if (!link || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const id = link.parentElement.id;
    const old = RANGE.exec(location.hash);
    let hash = "#" + id;
    let range = "";
    if (event.shiftKey && old && old[1] === id[0]) {
      const [low, high] = [Number(old[2]), Number(id.slice(1))].sort((a, b) => a - b);
      range = low + "-" + high;
      hash = "#" + id[0] + range;
      getSelection().removeAllRanges();
    }
    const query = new URLSearchParams(link.getAttribute("href").split("#")[0] || location.search);
    query.delete("lines");
    // For readers without scripts, and for programs.
    if (range && id[0] === "L") { query.delete("line"); query.set("lines", range); }
    const search = query.toString();
    history.replaceState(null, "", location.pathname + (search && "?" + search) + hash);
    mark(false);
  });

  // The search marks what it finds in the lines that are here. Enter asks the server for the whole log.
  const field = document.getElementById("q");
  const MOST = 1000;
  let timer = 0;
  const unmark = () => {
    for (const found of lines.querySelectorAll("mark")) {
      const parent = found.parentNode;
      found.replaceWith(...found.childNodes);
      parent.normalize();
    }
  };
  const search = () => {
    unmark();
    const wanted = field.value.toLowerCase();
    if (wanted.length < 2) return;
    let count = 0;
    const walker = document.createTreeWalker(lines, NodeFilter.SHOW_TEXT, (node) =>
      node.parentElement.closest("code") && node.data.toLowerCase().includes(wanted) ? NodeFilter.FILTER_ACCEPT : NodeFilter.FILTER_SKIP);
    const nodes = [];
    while (nodes.length < MOST && walker.nextNode()) nodes.push(walker.currentNode);
    for (let node of nodes) {
      reveal(node.parentElement);
      let place = node.data.toLowerCase().indexOf(wanted);
      while (place >= 0 && count < MOST) {
        const found = node.splitText(place);
        node = found.splitText(wanted.length);
        const element = document.createElement("mark");
        found.replaceWith(element);
        element.append(found);
        count += 1;
        place = node.data.toLowerCase().indexOf(wanted);
      }
    }
    lines.querySelector("mark")?.scrollIntoView({ block: "center" });
  };
  field?.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(search, 200); });

  document.getElementById("unfold")?.addEventListener("click", (event) => {
    const steps = [...lines.querySelectorAll("details")];
    const open = steps.some((step) => !step.open);
    steps.forEach((step) => { step.open = open; });
    event.target.textContent = open ? "Fold all" : "Unfold all";
  });

  document.querySelector(".jump")?.addEventListener("click", () => {
    const line = document.getElementById(log.dataset.failure || "");
    if (line) reveal(line);
  });

  // New lines, and lines that have changed, as the server writes them.
  const toggle = document.getElementById("follow");
  const MOST_LINES = 20000;
  let count = lines.querySelectorAll("li").length;
  const add = ({ id, html, step }) => {
    const template = document.createElement("template");
    template.innerHTML = html;
    const line = template.content.firstElementChild;
    if (!line) return;
    const old = document.getElementById(id);
    if (old && lines.contains(old)) { old.replaceWith(line); return; }
    if (step && lines.querySelector("details:last-child > summary > span")?.innerHTML !== step) {
      const details = document.createElement("details");
      details.open = true;
      details.dataset.row = "";
      details.innerHTML = "<summary><span>" + step + "</span></summary><ol></ol>";
      lines.append(details);
    }
    let list = lines.lastElementChild;
    if (list?.matches("details")) list = list.querySelector("ol");
    if (!list) { list = document.createElement("ol"); lines.append(list); }
    list.append(line);
    count += 1;
    if (count > MOST_LINES) { lines.querySelector("li")?.remove(); count -= 1; }
  };
  const address = log.dataset.follow;
  if (address && window.EventSource) {
    toggle.checked = !location.hash || location.hash === "#log-end";
    let last = "";
    // An empty line at the end may be no line at all: it is added when something follows.
    let held = [];
    const from = () => {
      if (!last) return address;
      const [offset, line] = last.split(":");
      const url = new URL(address, location);
      url.searchParams.set("from", offset);
      if (line) url.searchParams.set("line", line); else url.searchParams.delete("line");
      return url.pathname + url.search;
    };
    const stream = page.stream(from, {
      lines: (event) => {
        last = event.lastEventId || last;
        log.querySelector(".empty")?.remove();
        const wasNear = isNear();
        const fresh = held.concat(JSON.parse(event.data));
        held = fresh.length && fresh.at(-1).html.includes("<code></code>") ? fresh.splice(-1) : [];
        fresh.forEach(add);
        if (location.hash) mark(false);
        if (toggle.checked && wasNear) toEnd();
      },
      times: (event) => {
        for (const { id, time } of JSON.parse(event.data)) {
          const line = document.getElementById(id);
          if (!line || !lines.contains(line) || line.querySelector(":scope > i")) continue;
          const written = document.createElement("i");
          written.textContent = time;
          line.querySelector("a").after(written);
        }
      },
      end: () => {
        stream.close();
        const more = document.getElementById("more");
        if (more) more.textContent = "End of the log.";
        toggle.parentElement.hidden = true;
        page.changed?.();
      },
    });
    toggle.addEventListener("change", () => { if (toggle.checked) toEnd(); });
  }

  const asked = lines.querySelector("li.in");
  if (location.hash) mark(true);
  else if (asked) { reveal(asked); asked.scrollIntoView({ block: "center" }); }
  else if (log.dataset.failure) {
    // A failed job begins at its failure.
    const line = document.getElementById(log.dataset.failure);
    if (line) { reveal(line); line.scrollIntoView({ block: "center" }); }
  } else if (toggle?.checked) toEnd();
});
