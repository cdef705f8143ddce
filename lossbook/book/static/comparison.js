// The comparison page: two losses, drawn from the numbers that stand in the page. No formula is worked out here.
(function () {
  const root = document.querySelector(".lossbook-comparison");
  const data = JSON.parse(document.getElementById("lossbook-losses").textContent);
  const sides = Array.from(root.querySelectorAll("fieldset"));
  const selects = sides.map(function (side) { return side.querySelector("select"); });
  const axes = root.querySelector(".axes");
  const table = root.querySelector("table");
  const LOOKS = ["solid line with a round mark", "dashed line with a square mark"];
  const OF_FEW = ["Parameters", "Special cases"];
  const PANELS = [["values", "Loss"], ["slopes", "Slope"]];
  const WIDE = 460, TALL = 270, LEFT = 48, RIGHT = 12, TOP = 28, BOTTOM = 44;
  const chosen = [{}, {}];  // of each side: key, and where its parameters' sliders stand
  const places = {};  // kind of input -> where its position's slider stands

  function loss(side) { return data.losses[chosen[side].key]; }
  function words(number) { return String(Number(number.toPrecision(3))).replace("-", "\u2212"); }

  function element(name, attributes, parent, text) {
    const svg = ["svg", "line", "text", "polyline", "circle", "rect"].includes(name);
    const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
    Object.entries(attributes || {}).forEach(function (pair) { made.setAttribute(pair[0], pair[1]); });
    if (text !== undefined) made.textContent = text;
    if (parent) parent.appendChild(made);
    return made;
  }

  function curve(side, kind, stops) {  // at these stops of the parameters' sliders; the last changes fastest
    const index = loss(side).parameters.reduce(function (sum, p, i) { return sum * p.values.length + stops[i]; }, 0);
    return loss(side)[kind][index];
  }
  function here(side, kind) { return curve(side, kind, chosen[side].stops); }
  function starts(side) { return loss(side).parameters.map(function (p) { return p.start; }); }

  function setting(side) {
    return loss(side).parameters.map(function (p, i) { return p.name + " = " + words(p.values[chosen[side].stops[i]]); }).join(", ");
  }
  function title(side) {
    const twice = chosen[0].key === chosen[1].key;
    return loss(side).title + (twice && setting(side) ? " (" + setting(side) + ")" : "");
  }

  // Sliders

  function slider(label, id, count, at, say, parent, moved) {
    const row = element("div", { "class": "slider" }, parent);
    element("label", { "for": id }, row, label);
    const input = element("input", { type: "range", id: id, min: 0, max: count - 1, step: 1 }, row);
    const told = element("output", { "for": id, "aria-live": "off" }, row);
    input.value = at;
    function tell() {
      told.textContent = say(Number(input.value));
      input.setAttribute("aria-valuetext", told.textContent);
    }
    input.addEventListener("input", function () { tell(); moved(Number(input.value)); });
    tell();
    return { row: row, input: input, tell: tell };
  }

  function parameters(side) {
    const box = sides[side].querySelector(".parameters");
    box.replaceChildren();
    loss(side).parameters.forEach(function (p, i) {
      const id = "parameter-" + side + "-" + i;
      const made = slider(p.name, id, p.values.length, chosen[side].stops[i], function (at) { return words(p.values[at]); }, box,
        function (at) { chosen[side].stops[i] = at; draw(); keep(); });
      element("p", { id: id + "-meaning" }, made.row, p.meaning);
      made.input.setAttribute("aria-describedby", id + "-meaning");
    });
    if (loss(side).held) element("p", {}, box, loss(side).held);
  }

  // Axes: one for both losses where they are of one kind, one for each where they are not

  let drawn = [];

  function layOut() {
    const kinds = Array.from(new Set([0, 1].map(function (side) { return loss(side).kind; })));
    axes.replaceChildren();
    drawn = kinds.map(function (name) {
      const kind = data.kinds[name];
      const box = element("div", { "class": "axis" }, axes);
      const panels = element("div", { "class": "panels" }, box);
      const axis = { name: name, kind: kind, sides: [0, 1].filter(function (side) { return loss(side).kind === name; }) };
      axis.panels = PANELS.map(function (panel, i) {
        const figure = element("figure", {}, panels);
        const svg = element("svg", { "class": "lossbook-curves", role: "img", viewBox: "0 0 " + WIDE + " " + TALL }, figure);
        svg.addEventListener("pointerdown", function (event) { point(axis, svg, event); });
        svg.addEventListener("pointermove", function (event) { if (event.buttons) point(axis, svg, event); });
        return { svg: svg, what: panel[0], title: panel[1], widest: kind.widest[i] };
      });
      if (!(name in places)) places[name] = Math.round(0.5625 * (kind.positions.length - 1));
      axis.slider = slider(kind.argument, "position-" + name, kind.positions.length, places[name],
        function (at) { return words(kind.positions[at]); }, box, function (at) { places[name] = at; draw(); });
      axis.reading = element("ul", { "class": "reading", "aria-live": "polite" }, box);
      return axis;
    });
    const told = [0, 1].map(function (side) { return loss(side).title + " is a loss of " + data.kinds[loss(side).kind].name; });
    const held = kinds.map(function (name) { return data.kinds[name].held; }).join(" ");
    root.querySelector(".kinds").textContent = (kinds.length === 1
      ? "Both are losses of " + data.kinds[kinds[0]].name + " and share their axes. "
      : told.join(", ") + ": each has axes of its own, and heights of one say nothing about the other. ") + held;
  }

  function point(axis, svg, event) {
    const frame = svg.getBoundingClientRect();
    const along = ((event.clientX - frame.left) / frame.width * WIDE - LEFT) / (WIDE - LEFT - RIGHT);
    const last = axis.kind.positions.length - 1;
    axis.slider.input.value = Math.max(0, Math.min(last, Math.round(along * last)));
    axis.slider.input.dispatchEvent(new Event("input"));
  }

  function ends(arrays, widest) {
    const all = arrays.flat();
    const low = Math.max(-widest, Math.min.apply(null, all)), high = Math.min(widest, Math.max.apply(null, all));
    const room = 0.06 * Math.max(high - low, 0.5);
    return [low - room, high + room];
  }

  function ticks(low, high) {
    const least = (high - low) / 5, power = Math.pow(10, Math.floor(Math.log10(least)));
    const step = power * [1, 2, 5, 10].find(function (times) { return times * power >= least; });
    const found = [];
    for (let k = Math.ceil(low / step); k * step <= high; k += 1) found.push(k * step);
    return found;
  }

  // Drawing

  function draw() {
    drawn.forEach(function (axis) {
      axis.panels.forEach(function (panel) { drawPanel(axis, panel); });
      read(axis);
    });
    table.caption.textContent = title(0) + ", and " + title(1);
  }

  function drawPanel(axis, panel) {
    const positions = axis.kind.positions, last = positions.length - 1, at = places[axis.name];
    const curves = axis.sides.map(function (side) { return here(side, panel.what); });
    const known = axis.sides.map(function (side) { return curve(side, panel.what, starts(side)); });
    const limits = ends(curves.concat(known), panel.widest);
    const wide = WIDE - LEFT - RIGHT, tall = TALL - TOP - BOTTOM;
    function x(i) { return LEFT + i / last * wide; }
    function y(value) { return TOP + (limits[1] - value) / (limits[1] - limits[0]) * tall; }
    panel.svg.replaceChildren();
    ticks(limits[0], limits[1]).forEach(function (value) {
      const zero = Math.abs(value) < 1e-12;
      element("line", { "class": zero ? "zero" : "grid", x1: LEFT, x2: LEFT + wide, y1: y(value), y2: y(value) }, panel.svg);
      element("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, panel.svg, words(zero ? 0 : value));
    });
    ticks(positions[0], positions[last]).forEach(function (value) {
      const i = (value - positions[0]) / (positions[last] - positions[0]) * last;
      element("text", { x: x(i), y: TALL - 25, "text-anchor": "middle" }, panel.svg, words(value));
    });
    element("text", { "class": "title", x: LEFT, y: 15 }, panel.svg, panel.title);
    element("text", { x: LEFT + wide / 2, y: TALL - 6, "text-anchor": "middle" }, panel.svg, axis.kind.argument);
    element("line", { "class": "cursor", x1: x(at), x2: x(at), y1: TOP, y2: TOP + tall }, panel.svg);
    const inner = element("svg", { x: LEFT, y: TOP, width: wide, height: tall, viewBox: [LEFT, TOP, wide, tall].join(" ") }, panel.svg);
    axis.sides.forEach(function (side, k) {
      const far = 3 * tall;  // what leaves the panel need not go to infinity
      const line = curves[k].map(function (value, i) {
        return x(i).toFixed(1) + "," + Math.max(-far, Math.min(far, y(value))).toFixed(1);
      });
      element("polyline", { "class": "side-" + side, points: line.join(" ") }, inner);
      const mark = y(curves[k][at]);
      if (side === 0) element("circle", { "class": "side-0", cx: x(at), cy: mark, r: 5 }, inner);
      else element("rect", { "class": "side-1", x: x(at) - 4.5, y: mark - 4.5, width: 9, height: 9 }, inner);
    });
    const told = axis.sides.map(function (side, k) {
      const numbers = [0, at, last].map(function (i) { return words(curves[k][i]) + " at " + words(positions[i]); });
      return title(side) + ", " + LOOKS[side] + ": " + numbers[0] + ", at the cursor " + numbers[1] + ", " + numbers[2];
    });
    panel.svg.setAttribute("aria-label", panel.title + " against the " + axis.kind.argument + " from " + words(positions[0]) + " to " +
      words(positions[last]) + ". " + told.join(". ") + ".");
  }

  function read(axis) {
    const at = places[axis.name];
    axis.reading.replaceChildren();
    axis.sides.forEach(function (side) {
      const numbers = "loss " + words(here(side, "values")[at]) + ", slope " + words(here(side, "slopes")[at]);
      element("li", {}, axis.reading, title(side) + " at " + words(axis.kind.positions[at]) + ": " + numbers);
    });
  }

  // What is known

  function tabulate() {
    const names = [];
    [0, 1].forEach(function (side) {
      Object.keys(loss(side).facts).forEach(function (name) { if (!names.includes(name)) names.push(name); });
    });
    names.sort(function (a, b) { return data.rows.indexOf(a) - data.rows.indexOf(b); });
    if (window.MathJax && MathJax.typesetClear) MathJax.typesetClear([table]);
    table.tHead.replaceChildren();
    table.tBodies[0].replaceChildren();
    const head = element("tr", {}, table.tHead);
    element("td", {}, head);
    [0, 1].forEach(function (side) { element("th", { scope: "col" }, head, loss(side).title); });
    names.forEach(function (name) {
      const row = element("tr", {}, table.tBodies[0]);
      element("th", { scope: "row" }, row, name);
      [0, 1].forEach(function (side) {
        const fact = loss(side).facts[name];
        const cell = element("td", {}, row);
        if (fact) cell.innerHTML = fact;  // made by the book, from its own records
        else element("span", { "class": "absent" }, cell, OF_FEW.includes(name) ? "none" : "not claimed");
      });
    });
    if (window.MathJax && MathJax.typesetPromise) {
      MathJax.startup.promise = MathJax.startup.promise.then(function () { return MathJax.typesetPromise([table]); });
    }
  }

  // The address: comparison.html#hinge_loss,huber_loss:delta=0.5

  function keep() {
    const said = [0, 1].map(function (side) {
      const moved = loss(side).parameters.map(function (p, i) {
        const at = chosen[side].stops[i];
        return at === p.start ? "" : ":" + p.name + "=" + p.values[at];
      });
      return chosen[side].key + moved.join("");
    });
    history.replaceState(null, "", "#" + said.join(","));
  }

  function parse() {
    const said = decodeURIComponent(location.hash.slice(1)).split(",").map(function (part) { return part.split(":"); });
    const known = said.filter(function (part) { return Object.hasOwn(data.losses, part[0]); }).slice(0, 2);
    if (known.length === 1) known.push([partner(known[0][0])]);
    (known.length ? known : data.start.map(function (key) { return [key]; })).forEach(function (part, side) {
      choose(side, part[0]);
      part.slice(1).forEach(function (assignment) {
        const pair = assignment.split("=");
        loss(side).parameters.forEach(function (p, i) {
          const at = p.values.indexOf(Number(pair[1]));
          if (p.name === pair[0] && at >= 0) chosen[side].stops[i] = at;
        });
      });
    });
    [0, 1].forEach(parameters);
    show();
  }

  function partner(key) {  // another loss of the same kind
    return data.start.concat(Object.keys(data.losses)).find(function (other) {
      return other !== key && data.losses[other].kind === data.losses[key].kind;
    });
  }

  function choose(side, key) {
    chosen[side] = { key: key };
    chosen[side].stops = starts(side);
    selects[side].value = key;
  }

  function show() { layOut(); tabulate(); draw(); }

  selects.forEach(function (select, side) {
    select.addEventListener("input", function () {
      choose(side, select.value);
      parameters(side);
      show();
      keep();
    });
  });
  root.querySelector("form").addEventListener("submit", function (event) { event.preventDefault(); });
  window.addEventListener("hashchange", parse);
  root.hidden = false;
  parse();
})();
