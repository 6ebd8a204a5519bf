// Keeps a page fresh: when a window closes, the part that is live is asked for again. Without script
// the page is whole, and is as it was when it was made.
"use strict";
const live = document.getElementById("live");
if (live && window.EventSource) {
  const events = new EventSource(live.dataset.live);
  let asking = false;
  let known = "";
  events.addEventListener("window", async (event) => {
    const first = known === "";
    if (event.lastEventId === known || asking) return;
    known = event.lastEventId;
    if (first) return; // the page was made a moment ago
    asking = true;
    try {
      const answer = await fetch(window.location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return;
      const made = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = made.getElementById("live");
      const focused = document.activeElement;
      if (!fresh || live.contains(focused)) return; // whoever reads with keys is not moved
      live.replaceChildren(...fresh.childNodes);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // away: the next window tries again
    } finally {
      asking = false;
    }
  });
  window.addEventListener("pagehide", () => events.close());
}
