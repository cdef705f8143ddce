// An explorer without a kernel: it shows, of the pictures drawn beforehand, the one that the controls ask for.
(function () {
  "use strict";
  const root = document.currentScript.parentElement;
  const data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
  const fields = Array.from(root.querySelectorAll("[data-control]"));
  const menu = root.querySelector("[data-presets]");
  const image = root.querySelector("img");
  const caption = root.querySelector("figcaption");
  const status = root.querySelector("[role='status']");
  const QUIET = 150; // milliseconds after which words that follow a moving slider are said
  const loaded = new Map();
  let frame = data.frames[data.start];
  let setting = data.setting.slice(); // of hidden controls too: they come back as they were
  let base = frame;
  let look = data.look;
  let timer = 0;

  const isSlider = (i) => fields[i].type === "range";
  const words = (i, at) => data.controls[i].words[at];
  const address = (one) => data.address + data.pictures[one.picture];
  const seen = (one, i) => one.at[i] >= 0;

  function agrees(one, except) {
    return one.at.every((at, i) => i === except || at < 0 || at === setting[i]);
  }

  function apart(one, i) {
    if (one.at[i] === setting[i]) return 0;
    return isSlider(i) ? Math.abs(one.at[i] - setting[i]) / data.controls[i].words.length : 1;
  }

  // First the fewest other controls that have to move, then the least way; of equals the one most like the preset.
  function price(one, except) {
    let sum = 0;
    one.at.forEach(function (at, i) {
      if (i === except || at < 0 || at === setting[i]) return;
      sum += seen(frame, i) ? 2 + apart(one, i) : 0.1 * apart(one, i);
      if (at === base.at[i]) sum -= 0.001;
    });
    return sum;
  }

  // A slider keeps the others where they are and goes to the next stop that was drawn with them.
  function along(i, wanted) {
    const near = data.frames.filter((one) => seen(one, i) && agrees(one, i));
    if (!isSlider(i) || near.length < 2) return near.find((one) => one.at[i] === wanted);
    const way = wanted > setting[i] ? 1 : -1;
    const ahead = near.filter((one) => way * (one.at[i] - wanted) >= 0);
    return ahead.sort((one, other) => way * (one.at[i] - other.at[i]))[0];
  }

  function found(i, wanted) {
    const near = along(i, wanted);
    if (near) return near;
    const there = data.frames.filter((one) => one.at[i] === wanted);
    return there.reduce((best, one) => (price(one, i) < price(best, i) ? one : best));
  }

  function say(moved) {
    const text = [look, frame.caption].filter(Boolean).join("<br>");
    const note = moved.length ? "Not every combination was drawn: " + moved.join(", ") + "." : "";
    function write() {
      timer = 0;
      if (caption.innerHTML !== text) caption.innerHTML = text;
      if (status.textContent !== note) status.textContent = note;
    }
    const idle = !timer;
    clearTimeout(timer);
    if (idle) write();
    timer = setTimeout(write, QUIET);
  }

  function show(next, except) {
    const moved = [];
    next.at.forEach(function (at, i) {
      if (at < 0) return;
      if (i !== except && except >= 0 && seen(frame, i) && at !== setting[i]) {
        moved.push(data.controls[i].label + " moved to " + words(i, at));
      }
      setting[i] = at;
    });
    frame = next;
    fields.forEach(function (field, i) {
      field.closest("label").hidden = !seen(frame, i);
      field.value = setting[i];
      if (isSlider(i)) {
        field.setAttribute("aria-valuetext", words(i, setting[i]));
        field.nextElementSibling.textContent = words(i, setting[i]);
      }
    });
    image.src = address(frame);
    image.alt = frame.alt;
    say(moved);
    preload();
  }

  // What one key press can reach is fetched before it is asked for.
  function preload() {
    if (!data.files) return;
    fields.forEach(function (field, i) {
      if (!seen(frame, i)) return;
      const all = data.controls[i].words.map((_, at) => at);
      const near = isSlider(i) ? [setting[i] - 1, setting[i] + 1].filter((at) => at in all) : all.slice(0, 8);
      near.forEach(function (at) {
        const name = address(found(i, at));
        if (loaded.has(name)) return;
        loaded.set(name, new Image());
        loaded.get(name).src = name;
      });
    });
  }

  fields.forEach(function (field, i) {
    field.addEventListener("input", function () {
      if (menu) menu.selectedIndex = 0; // the reader has left the preset; what it said to look for stays
      const wanted = Number(field.value);
      show(wanted === setting[i] ? frame : found(i, wanted), i);
    });
  });
  if (menu) {
    menu.addEventListener("input", function () {
      const preset = data.presets[menu.selectedIndex - 1];
      if (!preset) return;
      look = preset.look;
      setting = preset.setting.slice();
      base = data.frames[preset.frame];
      show(base, -1);
    });
    menu.selectedIndex = data.chosen;
  }
  fields.forEach(function (field, i) { field.value = setting[i]; }); // a reloaded page may remember others
  const box = image.parentElement;
  new ResizeObserver(function () { // on a phone the picture is wider than the page, and has to be reached to be scrolled
    const wide = box.scrollWidth > box.clientWidth;
    const name = { tabindex: "0", role: "group", "aria-label": "picture, wider than the page" };
    Object.keys(name).forEach((key) => (wide ? box.setAttribute(key, name[key]) : box.removeAttribute(key)));
  }).observe(box);
  ["focusin", "pointerenter"].forEach((event) => root.addEventListener(event, preload, { once: true }));
  root.querySelector(".controls").hidden = false;
})();
