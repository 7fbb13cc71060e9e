"use strict";
// The page works without this. With it, it is live, follows logs, and knows keys.
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const log = $("#log"), lines = $("#lines");

  // Times go on while the page stands.
  const since = s => s < 5 ? "just now" : s < 60 ? `${Math.floor(s)} s ago` : s < 3600 ? `${Math.floor(s / 60)} min ago` :
    s < 172800 ? `${Math.floor(s / 3600)} h ago` : `${Math.floor(s / 86400)} days ago`;
  const spent = s => s < 10 ? `${Math.max(s, 0).toFixed(1)} s` : s < 60 ? `${Math.floor(s)} s` : s < 3600 ?
    `${Math.floor(s / 60)} min ${Math.floor(s % 60)} s` : `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`;
  const tick = () => {
    const now = Date.now();
    for (const t of all("time")) t.textContent = since((now - Date.parse(t.dateTime)) / 1000);
    for (const t of all("[data-since]")) t.textContent = spent((now - Date.parse(t.dataset.since)) / 1000);
  };
  setInterval(tick, 1000);

  // What has changed is fetched as the page that it is, and swapped in where it differs.
  let fetching = false, again = false, said = document.title;
  async function refresh() {
    if (fetching) { again = true; return; }
    fetching = true;
    try {
      const answer = await fetch(location.href, {headers: {Accept: "text/html"}});
      if (answer.status === 401) { location.reload(); return; }
      if (answer.ok) swap(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { offline(true); } finally {
      fetching = false;
      if (again) { again = false; setTimeout(refresh, 500); }
    }
  }
  function swap(fresh) {
    const attempts = $("#live-run")?.dataset.attempt;
    for (const part of all("[data-swap]")) {
      const next = fresh.getElementById(part.id);
      if (!next || same(part, next)) continue;
      const on = $(".on .open", part)?.getAttribute("href"), focus = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      part.replaceWith(next);
      if (on) mark(all("[data-row]", next).find(row => $(".open", row)?.getAttribute("href") === on), false);
      if (focus) all("a", next).find(a => a.getAttribute("href") === focus)?.focus({preventScroll: true});
    }
    document.title = fresh.title;
    $("#icon").href = fresh.getElementById("icon").getAttribute("href");
    if (said !== document.title) { said = document.title; $("#said").textContent = said; }
    document.body.dataset.live = fresh.body.dataset.live;
    if (attempts !== undefined && $("#live-run").dataset.attempt !== attempts && log.dataset.attempt === attempts) location.reload();
  }
  const still = html => html.replace(/(<time[^>]*>)[^<]*/g, "$1").replace(/(<span data-since[^>]*>)[^<]*/g, "$1").replace(/ class="([^"]*) on"/g, ' class="$1"');
  const same = (a, b) => still(a.innerHTML) === still(b.innerHTML) && a.dataset.attempt === b.dataset.attempt;

  // One stream of events while somebody looks; a page in the background asks now and then, for its title and icon.
  let stream = null, poll = null;
  const offline = is => { const note = $("#connection"); if (note) note.hidden = !is; };
  function connect() {
    let address = document.body.dataset.live;
    if (!address || stream) return;
    if (log) address += `&line=${log.dataset.line}&offset=${log.dataset.offset}`;
    stream = new EventSource(address);
    stream.onopen = () => offline(false);
    stream.onerror = () => offline(true);
    stream.addEventListener("changed", refresh);
    stream.addEventListener("lines", event => add(JSON.parse(event.data)));
    stream.addEventListener("ended", () => { disconnect(); if (log) { log.dataset.ended = ""; showFollow(); } setTimeout(() => refresh().then(connectAgain), 50); });
  }
  // The attempt has ended; its run may go on with another.
  const connectAgain = () => { if (!document.hidden && document.body.dataset.live && !log?.hasAttribute("data-ended")) connect(); };
  const disconnect = () => { stream?.close(); stream = null; };
  document.addEventListener("visibilitychange", () => {
    clearInterval(poll);
    if (document.hidden) { disconnect(); if (document.body.dataset.live) poll = setInterval(refresh, 15000); }
    else { if (document.body.dataset.live) refresh(); connectAgain(); }
  });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", event => { if (event.persisted) connectAgain(); });

  // A log follows its end, until somebody scrolls up.
  const keep = 5000;
  let following = false;
  const part = () => log.hasAttribute("data-part");
  function add(batch) {
    log.dataset.line = batch.next.line;
    log.dataset.offset = batch.next.offset;
    if (part()) return;
    if (scrolledUp()) setFollow(false);
    $("#none")?.remove();
    let last = +(lines.lastElementChild?.querySelector("a")?.dataset.n ?? 0);
    for (const one of batch.lines ?? []) {
      let row = document.getElementById("L" + one.n);
      if (!row) {
        if (one.n > last + 1) lines.append(gap(last + 1, one.n - 1));
        row = document.createElement("div");
        row.className = "l";
        row.id = "L" + one.n;
        const link = document.createElement("a");
        link.href = `?line=${one.n}#L${one.n}`;
        link.dataset.n = one.n;
        link.setAttribute("aria-label", "line " + one.n);
        if (one.came) link.title = "+" + one.came;
        row.append(link, document.createElement("span"));
        lines.append(row);
        last = one.n;
      }
      row.lastElementChild.innerHTML = one.html; // made by the server, of text and colours alone
    }
    while (lines.children.length > keep) lines.firstElementChild.remove();
    if (following) toEnd();
  }
  function gap(from, to) {
    const row = document.createElement("p"), link = document.createElement("a");
    row.className = "gap";
    link.href = `?attempt=${log.dataset.attempt}&from=${from}#log`;
    link.textContent = `lines ${from} to ${to} came too fast to be shown here`;
    row.append(link);
    return row;
  }
  // Where this script scrolled to is known: whatever stands higher, and not at the end, somebody scrolled.
  let lastY = scrollY;
  const toEnd = () => { scrollTo({top: document.documentElement.scrollHeight}); lastY = scrollY; };
  const atEnd = () => innerHeight + scrollY >= document.documentElement.scrollHeight - 8;
  const scrolledUp = () => following && scrollY < lastY - 2 && !atEnd();
  function scrolled() {
    if (scrolledUp()) setFollow(false);
    else if (!following && !follow.hidden && atEnd()) setFollow(true);
    lastY = scrollY;
  }
  const follow = $("#follow");
  function showFollow() {
    if (!follow) return;
    follow.hidden = log.hasAttribute("data-ended") || part();
    follow.setAttribute("aria-pressed", following);
    follow.textContent = following ? "Following" : "Follow";
  }
  function setFollow(on) { following = on; showFollow(); if (on) toEnd(); }
  if (log) {
    follow.addEventListener("click", () => setFollow(!following));
    addEventListener("scroll", scrolled, {passive: true});
    if (!log.hasAttribute("data-ended") && !part() && !location.hash) setFollow(true); else showFollow();
    const toLine = () => {
      const line = /^#L(\d+)$/.exec(location.hash);
      if (line && !document.getElementById("L" + line[1])) location.replace(`?attempt=${log.dataset.attempt}&line=${line[1]}#L${line[1]}`);
    };
    addEventListener("hashchange", toLine);
    toLine();
  }
  // Windows beside the one that is shown are put to it.
  document.addEventListener("click", async event => {
    const link = event.target.closest?.("#earlier a[data-from], #later a[data-from]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const first = +lines.firstElementChild.querySelector("a").dataset.n, last = +lines.lastElementChild.querySelector("a").dataset.n;
    const earlier = !!link.closest("#earlier"), from = earlier ? Math.max(1, first - 600) : last + 1;
    const answer = await fetch(`/runs/${encodeURIComponent(log.dataset.run)}/lines?attempt=${log.dataset.attempt}&from=${from}`);
    if (!answer.ok) { location.href = link.href; return; }
    const fresh = all(".l", new DOMParser().parseFromString(await answer.text(), "text/html")).filter(row => !document.getElementById(row.id));
    const before = document.documentElement.scrollHeight;
    if (earlier) { lines.prepend(...fresh); scrollBy(0, document.documentElement.scrollHeight - before); if (from === 1) $("#earlier").remove(); }
    else { lines.append(...fresh); if (fresh.length === 0) $("#later").remove(); }
  });

  // Keys.
  const rows = () => all("[data-row]").filter(row => row.offsetParent !== null);
  function mark(row, scroll = true) {
    all(".on").forEach(one => one.classList.remove("on"));
    if (!row) return;
    row.classList.add("on");
    if (scroll) { $(".open", row)?.focus({preventScroll: true}); row.scrollIntoView({block: "nearest"}); }
  }
  function move(by) {
    const list = rows(), at = list.findIndex(row => row.classList.contains("on"));
    if (list.length) mark(list[at < 0 ? (by > 0 ? 0 : list.length - 1) : Math.min(list.length - 1, Math.max(0, at + by))]);
  }
  const help = $("#help"), keys = $("#keys");
  if (keys) { keys.hidden = false; keys.addEventListener("click", () => help.showModal()); }
  let going = 0;
  document.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea") || help.open) {
      if (event.key === "Escape") event.target.blur?.();
      return;
    }
    const goes = {r: "/", d: "/deliveries", l: "/listeners"}[event.key];
    if (Date.now() - going < 1200 && goes) { location.href = goes; return; }
    switch (event.key) {
      case "j": move(1); break;
      case "k": move(-1); break;
      case "Enter": if (event.target.closest("a, button, summary")) return; $(".on .open")?.click(); break;
      case "/": $("[data-slash]")?.focus(); break;
      case "f": if (follow && !follow.hidden) setFollow(!following); break;
      case "g": going = Date.now(); break;
      case "?": help.showModal(); break;
      default: return;
    }
    event.preventDefault();
  });
  connect();
})();
