// The atlas: search and filters over the cards, with what is asked for kept in the address. Without it all cards show.
(function () {
  const form = document.querySelector(".lossbook-filters");
  const count = document.querySelector(".lossbook-count");
  const cards = Array.from(document.querySelectorAll(".lossbook-card"));
  const sections = cards.map(function (card) { return card.closest("section") || card; });
  const parts = new Set(sections.map(function (section) { return section.parentElement; }));
  const fields = Array.from(form.elements).filter(function (field) { return field.name; });

  function plain(text) {  // letters without their accents
    return text.normalize("NFD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  }
  const texts = cards.map(function (card) { return plain(card.dataset.text); });

  function fits(card, i, asked) {
    const data = card.dataset;
    return plain(asked.search).split(/\s+/).every(function (word) { return texts[i].includes(word); })
      && data.chapter.startsWith(asked.chapter)
      && (!asked.status || data.status === asked.status)
      && (!asked.kind || data.kind.split(" ").includes(asked.kind))
      && (!asked.origin || data.origin.split(" ").includes(asked.origin));
  }

  function show() {
    const asked = Object.fromEntries(fields.map(function (field) { return [field.name, field.value]; }));
    const all = { systems: 0, losses: 0 }, shown = { systems: 0, losses: 0 };
    cards.forEach(function (card, i) {
      const sort = card.dataset.kind.includes("classical-loss") ? "losses" : "systems";
      const fitting = fits(card, i, asked);
      sections[i].hidden = !fitting;
      all[sort] += 1;
      shown[sort] += fitting;
    });
    parts.forEach(function (part) {
      part.hidden = !sections.some(function (section) { return section.parentElement === part && !section.hidden; });
    });
    const words = shown.systems + " of " + all.systems + " systems shown, and " + shown.losses + " of " + all.losses +
      " classical losses.";
    count.textContent = shown.systems + shown.losses ? words : words + " Fewer words or “Show all” bring them back.";
  }

  function keep() {  // in the address, without a step in the history for each letter
    const asked = new URLSearchParams();
    fields.forEach(function (field) { if (field.value.trim()) asked.set(field.name, field.value.trim()); });
    const place = location.pathname + location.search;
    history.replaceState(null, "", asked.size === 0 && !String(asked) ? place : place + "#" + asked);
  }

  function read() {  // a filter, or the name of a card
    const said = location.hash.slice(1);
    const goal = said && document.getElementById(decodeURIComponent(said));
    const asked = new URLSearchParams(goal ? "" : said);
    fields.forEach(function (field) {
      field.value = asked.get(field.name) || "";
      if (field.selectedIndex === -1) field.value = "";
    });
    show();
    if (goal) goal.scrollIntoView();
  }

  form.addEventListener("input", function () { show(); keep(); });
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.addEventListener("reset", function () { setTimeout(function () { show(); keep(); }); });
  window.addEventListener("hashchange", read);
  form.hidden = count.hidden = false;
  read();
})();
