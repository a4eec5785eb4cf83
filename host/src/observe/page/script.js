// Renews what the page shows, and does by fetch what its forms do without a script. Nothing is asked of another host.
"use strict";

(() => {
  const EVERY_MS = 3000;
  const ANSWER_MS = 10000;
  const link = document.getElementById("link");
  const outcome = document.getElementById("outcome");
  let busy = 0;
  let timer = 0;
  // What is asked for, while it is; and whether it is to be asked for once more.
  let asking = null;
  let again = false;

  // Makes `old` as `fresh` is. What stays the same is not touched, so that focus, scroll and selection stay where they are.
  function morph(old, fresh) {
    for (const { name } of [...old.attributes]) {
      // What somebody unfolded stays so.
      if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
    }
    for (const { name, value } of [...fresh.attributes]) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    let cursor = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      let match = null;
      if (child.id) {
        match = [...old.children].find((own) => own.id === child.id) ?? null;
      } else if (cursor && !cursor.id && cursor.nodeName === child.nodeName) {
        match = cursor;
      }
      if (!match) {
        old.insertBefore(document.importNode(child, true), cursor);
        continue;
      }
      if (match === cursor) cursor = cursor.nextSibling;
      else old.insertBefore(match, cursor);
      if (match.nodeType === Node.ELEMENT_NODE) morph(match, child);
      else if (match.data !== child.data) match.data = child.data;
    }
    while (cursor) {
      const next = cursor.nextSibling;
      cursor.remove();
      cursor = next;
    }
  }

  function show(text) {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const focused = document.activeElement;
    // What is being typed is newer than what was asked for.
    const filters = document.getElementById("filters");
    const own = fresh.getElementById("filters");
    if (filters && own) own.replaceWith(document.importNode(filters, true));
    morph(document.querySelector("main"), fresh.querySelector("main"));
    if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
    document.title = fresh.title;
    return fresh;
  }

  function say(text) {
    if (link.textContent !== text) link.textContent = text;
  }

  // One at a time: the next is asked for when this one has come, however long it took, or is given up.
  async function renew() {
    clearTimeout(timer);
    if (asking) {
      again = true;
      // It would be shown under filters that are no longer set.
      if (asking.url !== location.href) asking.abort();
      return;
    }
    if (document.hidden || busy) {
      timer = setTimeout(renew, EVERY_MS);
      return;
    }
    const mine = new AbortController();
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      mine.abort();
    }, ANSWER_MS);
    asking = { url: location.href, abort: () => mine.abort() };
    try {
      const { signal } = mine;
      const answer = await fetch(asking.url, { headers: { Accept: "text/html" }, cache: "no-store", signal });
      const text = await answer.text();
      if (signal.aborted) return;
      if (answer.status === 401) return location.reload();
      show(text);
      say(answer.ok ? "" : "The host does not answer as it should");
    } catch {
      if (late || !mine.signal.aborted) say("The host does not answer; trying again");
    } finally {
      clearTimeout(limit);
      asking = null;
      timer = setTimeout(renew, again ? 0 : EVERY_MS);
      again = false;
    }
  }

  // A button of a form that does something: the form's answer is a page that says what came of it.
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!("action" in form.dataset)) return;
    event.preventDefault();
    if (busy) return;
    const button = form.querySelector("button");
    const word = button.textContent;
    busy += 1;
    // It would be older than what comes of this.
    asking?.abort();
    button.textContent = button.dataset.busy;
    button.setAttribute("aria-disabled", "true");
    outcome.textContent = button.dataset.busy;
    try {
      const answer = await fetch(form.action, { method: "POST", headers: { Accept: "text/html" } });
      if (answer.status === 401) return location.reload();
      const text = await answer.text();
      const fresh = show(text);
      outcome.textContent = fresh.getElementById("outcome")?.textContent ?? "";
    } catch {
      outcome.textContent = "The host does not answer. Try again.";
    } finally {
      button.textContent = word;
      button.removeAttribute("aria-disabled");
      busy -= 1;
    }
  });

  // The filters take effect while they are set.
  const filters = document.getElementById("filters");
  if (filters) {
    let typing = 0;
    filters.querySelector("button").hidden = true;
    const apply = () => {
      const said = [...new FormData(filters)].filter(([, value]) => value !== "");
      const sort = new URLSearchParams(location.search).get("sort");
      if (sort) said.push(["sort", sort]);
      const query = new URLSearchParams(said).toString();
      history.replaceState(null, "", query ? `/?${query}` : "/");
      renew();
    };
    filters.addEventListener("input", () => {
      clearTimeout(typing);
      typing = setTimeout(apply, 200);
    });
    filters.addEventListener("submit", (event) => {
      event.preventDefault();
      clearTimeout(typing);
      apply();
    });
  }

  // What happens to a source is shown when it happens.
  const source = location.pathname.match(/^\/sources\/([^/]+)$/);
  let events = null;
  let soon = 0;
  function listen() {
    events?.close();
    events = null;
    if (!source || document.hidden) return;
    events = new EventSource(`/v1/health/events?recent=0&source=${source[1]}`);
    events.onmessage = () => {
      clearTimeout(soon);
      soon = setTimeout(renew, 150);
    };
  }

  document.addEventListener("visibilitychange", () => {
    listen();
    if (!document.hidden) renew();
  });
  addEventListener("pagehide", () => events?.close());
  listen();
  timer = setTimeout(renew, EVERY_MS);
})();
