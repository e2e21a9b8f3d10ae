"use strict";
// The network of this page. Each body stands here once, however often it is applied.
//   body      {name, items: [item …], breaks, links}    what each item takes is the value of the one before it, but in `breaks`
//   item      {id, label, title, sub, kind, shape, …}   a box; `body` is what each of its `count` unfolds to (`steps`: all of them)
//             {branches: [body …], join: box or null}   side by side; an empty branch passes the value on
//   link      {kind, from, to, via: body, label}        beside the items, from one box to another ("" is the entry, the exit)
// Costs of a box are those of all its `count`; they are formulas where sizes are open, and left out where they are 0.
// `sees` is what its output sees of the body's input, `inside` what the input of its own body does.

const MAX_BOXES = 4000;
const BYTES = 4;  // of a value, in single precision
const COSTS = {params: "parameters", macs: "MACs", values: "values put out"};

// --- numbers -------------------------------------------------------------------------------------------------

function digits(n) {
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}

function bytes(n) {
  for (const [unit, suffix] of [[1e9, " GB"], [1e6, " MB"], [1e3, " kB"]]) {
    if (n >= 0.9995 * unit) return (n / unit).toPrecision(3) + suffix;
  }
  return n + " B";
}

/** A cost as it is shown; formulas as they are. */
function written(cost, value) {
  if (typeof value !== "number") return value;
  return cost === "values" ? `${digits(value)} (${bytes(BYTES * value)})` : digits(value);
}

function percent(share) {
  if (share === 0) return "";
  if (share < 0.001) return "<0.1 %";
  return (100 * share).toFixed(share < 0.0995 || share > 0.9949 && share < 1 ? 1 : 0) + " %";
}

/**
 * The share of the whole that a box has, in all applications of the body it stands in; null where it is no number. What only
 * training has is no part of the work: the whole is that of inference, but for parameters.
 */
function share(network, item, context, cost) {
  if ((item.training || context.training) && cost !== "params") return null;
  const of = item[cost] ?? 0, all = network.totals[cost];
  if (typeof of !== "number" || typeof all !== "number" || all === 0) return null;
  return of * context.applications / all;
}

/**
 * What a place sees of the network's input, from what it sees of its body's (`sight`) and what the body's input sees (`before`):
 * rows and stride on each axis, or "all"; null where that is not known. Araujo et al. 2019, eq. 2.
 */
function seen(sight, before) {
  if (!sight || !before) return null;
  if (sight === "all" || before === "all") return "all";
  return sight.map(([size, stride], axis) => {
    const [wide, step] = before[axis] || [1, 1];
    return [wide + (size - 1) * step, step * stride];
  });
}

// --- finding -------------------------------------------------------------------------------------------------

/** The boxes of a body, those in branches, joins and links too. */
function* boxes(body) {
  for (const item of body.items) {
    if (!item.branches) { yield item; continue; }
    for (const branch of item.branches) yield* boxes(branch);
    if (item.join) yield item.join;
  }
  for (const link of body.links || []) if (link.via) yield* boxes(link.via);
}

function matches(item, words) {
  const text = [item.id, item.label, item.title, item.sub, item.shape, item.kind, item.at].join(" ").toLowerCase();
  const plain = text.replace(/ × /g, "x");
  return words.every((word) => text.includes(word) || plain.includes(word));
}

/** For each body, how many boxes in it match, those of the bodies inside too. */
function foundIn(network, words) {
  const found = [];
  network.bodies.forEach((body, i) => {  // inner ones come first
    found[i] = 0;
    for (const item of boxes(body)) {
      found[i] += (matches(item, words) ? 1 : 0) + (item.body == null ? 0 : found[item.body]);
    }
  });
  return found;
}

// --- drawing -------------------------------------------------------------------------------------------------

/** `3x3` as papers write it. */
function crossed(text) {
  return text.replace(/(\d)x(?=\d)/g, "$1×");
}

function make(tag, className, ...children) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children.filter((child) => child != null));
  return element;
}

class Drawing {
  constructor(network, drawing, details, status) {
    Object.assign(this, {network, drawing, details, status});
    this.of = new WeakMap();  // the head of a box -> what it shows
    this.colour = "kind";
    this.words = [];
    this.scale = 1;
    this.shown = 0;
    drawing.append(this.body(network.root, {applications: 1, path: "", inside: []}));
    this.about(null);
  }

  /** The contents of one body. `context`: how often it is applied in the network, and where it stands. */
  body(index, context) {
    const body = this.network.bodies[index], places = new Map();
    const flow = this.series(body, context, places, true);
    flow.classList.add("body");
    flow.links = (body.links || []).map((link) => {
      const side = make("div", "side flow");
      if (link.via) side.append(this.series(link.via, context, places));
      if (link.to === "") side.append(make("div", "wire arrow"), make("div", "output", link.label + (link.training ? " (training)" : "")));
      if (side.childNodes.length) flow.append(side);
      return {...link, side: side.childNodes.length ? side : null, from: places.get(link.from), to: places.get(link.to)};
    });
    return flow;
  }

  series(series, context, places, outermost = false) {
    const flow = make("div", "flow"), breaks = new Set(series.breaks || []);
    series.items.forEach((item, i) => {
      if (i) flow.append(make("div", breaks.has(i) ? "wire none" : item.branches ? "wire" : "wire arrow"));
      if (!item.branches) flow.append(this.box(item, context, places));
      else flow.append(...this.parallel(item, context, places, outermost && i === series.items.length - 1));
    });
    return flow;
  }

  parallel(item, context, places, last) {
    const branches = make("div", "branches");
    for (const branch of item.branches) {
      const column = make("div", "branch"), first = branch.items[0], begins = first?.kind === "input";
      column.classList.toggle("begins", begins);
      if (first && !begins) column.append(make("div", first.branches ? "wire" : "wire arrow"));
      if (branch.count > 1) column.append(make("div", "times", "× " + digits(branch.count) + " side by side"));
      if (branch.items.length) column.append(this.series(branch, context, places));
      column.append(make("div", "wire rest"));
      branches.append(column);
    }
    branches.classList.toggle("apart", last && !item.join);
    return item.join ? [branches, make("div", "wire arrow"), this.box(item.join, context, places)] : [branches];
  }

  box(item, context, places) {
    const head = make("button", "head"), box = make("div", "box", head);
    const before = (item.sub || "").endsWith("→");
    head.type = "button";
    head.append(
      make("span", "first", item.label ? make("span", "label", item.label) : null, before ? make("span", "sub", item.sub) : null,
        make("span", "title", crossed(item.title)), item.sub && !before ? make("span", "sub", item.sub) : null,
        item.count > 1 ? make("span", "count", "× " + digits(item.count)) : null),
      make("span", "second", make("span", "shape", item.shape), make("span", "share")));
    box.classList.toggle("joins", item.kind === "join" && !item.sub);
    box.classList.toggle("training", Boolean(item.training));
    if (item.body != null) head.setAttribute("aria-expanded", "false");
    this.of.set(head, {item, context, box});
    places.set(item.id, head);
    this.shown++;
    this.paint(head);
    return box;
  }

  // --- folding

  open(head, opened) {
    const {item, context, box} = this.of.get(head);
    if (item.body == null || (head.getAttribute("aria-expanded") === "true") === opened) return;
    if (opened && !box.inside) {
      const inside = {applications: context.applications * (item.steps ? 1 : item.count || 1), path: this.path(head), training: item.training || context.training,
                      inside: item.inside && seen(item.inside, context.inside)};
      const body = this.body(item.body, inside);
      body.prepend(make("div", "wire arrow"));
      body.append(make("div", "wire"));
      box.inside = make("div", "inside", body);
      box.append(box.inside);
    }
    if (box.inside) box.inside.hidden = !opened;
    box.classList.toggle("open", opened);
    head.setAttribute("aria-expanded", String(opened));
  }

  /** Opens every block down to a depth, as far as a browser stays quick. */
  openAll(depth = Infinity) {
    let waiting = depth > 0 ? [...this.drawing.querySelectorAll(".head[aria-expanded]")] : [];
    for (let level = 1; waiting.length && this.shown < MAX_BOXES; level++) {
      const inner = [];
      while (waiting.length && this.shown < MAX_BOXES) {
        const head = waiting.shift();
        this.open(head, true);
        if (level < depth) inner.push(...this.of.get(head).box.inside.querySelectorAll(".head[aria-expanded=false]"));
      }
      waiting = waiting.concat(inner);
    }
    this.say(waiting.length ? `${digits(this.shown)} boxes are open; open the others one by one.` : "");
    this.settle();
  }

  closeAll() {
    for (const head of this.drawing.querySelectorAll(".head[aria-expanded=true]")) this.open(head, false);
    this.say("");
    this.settle();
  }

  toggle(head) {
    this.open(head, head.getAttribute("aria-expanded") === "false");
    this.settle();
    this.about(head);
  }

  // --- colours

  paint(head) {
    const {item, context, box} = this.of.get(head), kind = this.colour === "kind";
    const part = kind ? null : share(this.network, item, context, this.colour);
    const strength = Math.round(100 * Math.sqrt(Math.min(part || 0, 1)));
    head.querySelector(".share").textContent = part == null ? "" : percent(part);
    box.style.setProperty("--fill", kind ? `var(--${item.kind}-fill)` : `color-mix(in srgb, var(--hot) ${Math.round(0.6 * strength)}%, var(--frame))`);
    box.style.setProperty("--line", kind ? `var(--${item.kind}-line)` : `color-mix(in srgb, var(--hot) ${strength}%, var(--frame-line))`);
    const found = this.words.length > 0 && matches(item, this.words);
    box.classList.toggle("found", found);
    box.classList.toggle("holds", !found && item.body != null && this.words.length > 0 && this.found[item.body] > 0);
  }

  repaint() {
    for (const head of this.drawing.querySelectorAll(".head")) this.paint(head);
  }

  colourBy(cost) {
    this.colour = cost;
    this.repaint();
    this.about(null);
  }

  find(text) {
    this.words = text.toLowerCase().replace(/ × /g, "×").split(/\s+/).filter(Boolean);
    this.found = this.words.length ? foundIn(this.network, this.words) : [];
    this.repaint();
    if (!this.words.length) return this.say("");
    const n = this.found[this.network.root];
    this.say(n === 0 ? "No element matches." : n === 1 ? "1 element matches." : `${digits(n)} elements match. Enter goes to the next.`);
  }

  /** Opens blocks until the next box that matches is seen, and goes there. */
  next() {
    if (!this.words.length || !this.found[this.network.root]) return;
    const seen = () => [...this.drawing.querySelectorAll(".head")].filter((head) => head.offsetParent);
    let all = seen(), at = all.indexOf(this.last) + 1;
    for (let steps = 0; steps < 2 * MAX_BOXES; steps++, at++) {
      if (at >= all.length) at = 0;
      const {box} = this.of.get(all[at]);
      const closed = all[at].getAttribute("aria-expanded") === "false";
      if (closed && this.found[this.of.get(all[at]).item.body] > 0) {
        this.open(all[at], true);
        all = seen();
      }
      if (box.classList.contains("found")) break;
    }
    this.last = all[at];
    this.settle();
    this.last.scrollIntoView({block: "center", inline: "center"});
    this.about(this.last);
  }

  // --- what a box is and costs

  path(head) {
    const {item, context} = this.of.get(head);
    return context.path ? `${context.path}/${item.id}` : item.id;
  }

  /** Shows what is known of a box; of the network, if there is none. */
  about(head) {
    for (const chosen of this.drawing.querySelectorAll(".chosen")) chosen.classList.remove("chosen");
    this.details.replaceChildren();
    if (!head) return this.overview();
    head.classList.add("chosen");
    const {item, context} = this.of.get(head), times = context.applications * (item.count || 1);
    const rows = make("dl"), add = (name, value, ...notes) => {
      rows.append(make("dt", "", name), make("dd", "", String(value), ...notes.filter(Boolean).map((note) => make("small", "", note))));
    };
    if (item.input) add("input", item.input);
    if (item.shape) add("output", item.shape);
    for (const [cost, label] of Object.entries(COSTS)) {
      const value = item[cost];
      if (!value) continue;
      const number = typeof value === "number", part = share(this.network, item, context, cost);
      add(label, written(cost, number ? value * context.applications : value), part == null ? "" : `${percent(part)} of the network`,
        number && times > 1 && value % (item.count || 1) === 0 ? `${digits(times)} × ${digits(value / (item.count || 1))}` : "");
    }
    const sees = seen(item.sees, context.inside);
    if (sees) add("sees", sees === "all" ? "the whole input" : `${sees.map(([size]) => size).join(" × ")} of the input`,
      sees === "all" ? "" : `stride ${[...new Set(sees.map(([, stride]) => stride))].join(" × ")}`);
    if (item.at) add("written in", item.at);
    if (item.training) add("", "in training only");
    if (item.frozen) add("", "frozen");
    this.details.append(make("h2", "", crossed(item.title)), make("p", "", [this.path(head), item.sub].filter(Boolean).join(" · ")), rows);
    if (item.worked) this.details.append(make("h3", "", "Worked out"), make("pre", "", item.worked));
  }

  overview() {
    const {kinds, shares, notes, totals} = this.network;
    this.details.append(make("h2", "", "Where it goes"));
    this.details.append(make("p", "", "Point at a box, or go to it with Tab or the arrow keys, to see what it costs. Enter unfolds a block."));
    for (const [cost, label] of Object.entries(COSTS)) {
      const all = totals[cost];
      if (!all) continue;
      this.details.append(make("h3", "", `${written(cost, all)} ${typeof all === "number" ? label : "are the " + label}`));
      if (typeof all !== "number") continue;
      const bar = make("div", "bar"), legend = make("ul", "legend");
      for (const part of shares.filter((part) => part[cost] > 0).sort((a, b) => b[cost] - a[cost])) {
        const stripe = make("i"), swatch = make("i");
        stripe.style.width = 100 * part[cost] / all + "%";
        stripe.style.background = swatch.style.background = `var(--${part.kind}-line)`;
        bar.append(stripe);
        legend.append(make("li", "", swatch, kinds[part.kind], make("b", "", percent(part[cost] / all))));
      }
      this.details.append(bar, legend);
    }
    for (const note of notes) this.details.append(make("p", "note", note));
  }

  say(text) {
    this.status.textContent = text;
  }

  // --- what depends on where boxes have come to stand

  settle() {
    const bodies = [...this.drawing.querySelectorAll(".body")].filter((flow) => flow.links.length && flow.offsetParent);
    for (const flow of bodies) {
      flow.style.margin = "";
      flow.style.paddingBottom = "";
      for (const wire of flow.querySelectorAll(".wire[style]")) wire.style.height = "";
    }
    for (const flow of bodies.reverse()) this.arcs(flow);  // inner ones first: they make outer ones wider
    this.resize();
  }

  /** Where something stands in a body, in its own pixels. */
  place(element, flow) {
    const zero = flow.getBoundingClientRect(), r = element.getBoundingClientRect(), s = this.scale;
    return {left: (r.left - zero.left) / s, right: (r.right - zero.left) / s, top: (r.top - zero.top) / s, bottom: (r.bottom - zero.top) / s,
            width: r.width / s, height: r.height / s};
  }

  /** From where to where a link runs: it leaves a box at its side, and the entry at the wire. */
  ends(link, flow) {
    const wide = flow.getBoundingClientRect().width / this.scale;
    let start = {x: wide / 2, y: 4}, end = null;
    if (link.from) {
      const box = this.of.get(link.from).box, at = this.place(box, flow);
      start = {x: at.right, y: box.classList.contains("open") ? at.bottom - 14 : at.top + 0.6 * at.height};
    }
    if (link.to) {
      const at = this.place(link.to, flow);
      end = {x: at.right, y: at.top + 0.4 * at.height};
    }
    return {start, end};
  }

  /** Draws the links of a body to the right of it, short ones inside. */
  arcs(flow) {
    flow.querySelector(":scope > .arcs")?.remove();
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.classList.add("arcs");
    svg.setAttribute("aria-hidden", "true");
    for (const link of flow.links) this.makeRoom(link, flow);
    const taken = [...flow.querySelectorAll(".box, .branches")]
      .filter((part) => part.parentElement.closest(".body") === flow && part.closest(".side, .body") === flow)
      .map((part) => this.place(part, flow));
    const rank = (link) => { const {start, end} = this.ends(link, flow); return end ? end.y - start.y : 1e9 - start.y; };  // heads outside
    for (const link of [...flow.links].sort((a, b) => rank(a) - rank(b))) {
      taken.push(this.arc(link, flow, svg, taken));
    }
    flow.append(svg);
    const wide = flow.getBoundingClientRect().width / this.scale, high = flow.getBoundingClientRect().height / this.scale;
    const right = Math.max(0, ...taken.map((r) => r.right - wide + 6)), low = Math.max(0, ...taken.map((r) => r.bottom - high + 8));
    flow.style.margin = `0 ${right}px 0 ${Math.min(right, 60)}px`;
    if (low) flow.style.paddingBottom = low + "px";
  }

  /** A target moves down until what stands on the way to it has room. */
  makeRoom(link, flow) {
    if (!link.side || !link.to) return;
    const {start, end} = this.ends(link, flow), wire = this.of.get(link.to).box.previousElementSibling;
    const more = this.place(link.side, flow).height + 44 - (end.y - start.y);
    if (more > 0 && wire?.classList.contains("wire")) wire.style.height = 14 + more + "px";
  }

  /** Where boxes of a height stand between two heights: in the middle, or where no other link leaves the series or comes back. */
  clear(low, high, height, flow) {
    const lines = flow.links.flatMap((link) => Object.values(this.ends(link, flow))).map((at) => at?.y).filter((y) => y > low && y < high);
    const middle = (low + high - height) / 2;
    for (let off = 0; off < (high - low - height) / 2 - 20; off += 4) {
      for (const top of [middle - off, middle + off]) if (!lines.some((y) => y > top - 10 && y < top + height + 6)) return top;
    }
    return middle;
  }

  /** Draws one link, and gives the room that it takes. */
  arc(link, flow, svg, taken) {
    const {start, end} = this.ends(link, flow);
    const side = link.side ? this.place(link.side, flow) : {width: 0, height: 0};
    const last = end ? end.y : start.y + side.height + 30, r = 10;
    const free = Math.max(start.x, end ? end.x : 0, ...taken.filter((box) => box.bottom > start.y - 4 && box.top < last + 4).map((box) => box.right));
    const left = free + 14, x = left + side.width / 2;
    const draw = (d, name) => {
      const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      path.setAttribute("d", d);
      if (name) path.classList.add(name);
      svg.append(path);
    };
    const dashed = link.training ? "training" : "";
    const begins = link.via?.breaks?.includes(0);  // at an input of its own
    let from = `M${start.x} ${start.y} H${x - r} Q${x} ${start.y} ${x} ${start.y + r}`;
    if (link.side) {
      const top = end ? Math.max(start.y + 20, this.clear(start.y, end.y, side.height, flow)) : start.y + 22;
      link.side.style.left = left + "px";
      link.side.style.top = top + "px";
      if (!begins) draw(`${from} V${top - 5}`, dashed);
      if (!begins) draw(`M${x} ${top} l-4 -7 h8 z`, "tip");
      from = `M${x} ${top + side.height}`;
    }
    if (end) {
      draw(`${from} V${end.y - r} Q${x} ${end.y} ${x - r} ${end.y} H${end.x + 6}`, dashed);
      draw(`M${end.x} ${end.y} l7 -4 v8 z`, "tip");
    }
    return {left, right: left + side.width, top: start.y, bottom: last};
  }

  resize() {
    const sheet = this.drawing.parentElement;
    this.drawing.style.transform = this.scale === 1 ? "" : `scale(${this.scale})`;
    sheet.style.width = Math.ceil(this.drawing.offsetWidth * this.scale) + "px";
    sheet.style.height = Math.ceil(this.drawing.offsetHeight * this.scale) + "px";
  }

  zoom(scale) {
    this.scale = Math.min(Math.max(scale, 0.1), 3);
    this.resize();
    document.getElementById("actual").textContent = Math.round(100 * this.scale) + " %";
  }

  fit() {
    const canvas = document.getElementById("canvas"), room = 42;
    const wide = (canvas.clientWidth - room) / this.drawing.offsetWidth, high = (canvas.clientHeight - room) / this.drawing.offsetHeight;
    this.zoom(Math.min(wide, high, 1));
  }

  /** Opens the blocks on the way to a box, and goes there: `conv3/residual1/conv2`. */
  goTo(path) {
    const ids = path.split("/");
    let found = null;
    for (let i = 1; i <= ids.length; i++) {
      const at = ids.slice(0, i).join("/");
      found = [...this.drawing.querySelectorAll(".head")].find((head) => this.path(head) === at);
      if (!found) return this.say(`There is no box ${at}.`);
      if (i < ids.length) this.open(found, true);
    }
    this.settle();
    found.scrollIntoView({block: "center", inline: "center"});
    this.about(found);
  }

  /** The head `steps` after this one among those that can be seen. */
  neighbour(head, steps) {
    const heads = [...this.drawing.querySelectorAll(".head")].filter((other) => other.offsetParent);
    return heads[heads.indexOf(head) + steps];
  }
}

// --- the page ------------------------------------------------------------------------------------------------

function start() {
  const by = (id) => document.getElementById(id);
  const network = JSON.parse(by("network").textContent);
  const drawing = new Drawing(network, by("drawing"), by("details"), by("status"));
  const headOf = (event) => event.target.closest(".head");

  drawing.drawing.addEventListener("click", (event) => { if (headOf(event)) drawing.toggle(headOf(event)); });
  for (const kind of ["mouseover", "focusin"]) {
    drawing.drawing.addEventListener(kind, (event) => { if (headOf(event)) drawing.about(headOf(event)); });
  }
  drawing.drawing.addEventListener("keydown", (event) => {
    const head = headOf(event);
    if (!head) return;
    const outer = head.closest(".inside")?.parentElement.querySelector(".head");
    const open = head.getAttribute("aria-expanded");
    if (event.key === "ArrowDown") drawing.neighbour(head, 1)?.focus();
    else if (event.key === "ArrowUp") drawing.neighbour(head, -1)?.focus();
    else if (event.key === "ArrowRight" && open === "false") drawing.toggle(head);
    else if (event.key === "ArrowRight" && open === "true") drawing.neighbour(head, 1)?.focus();
    else if (event.key === "ArrowLeft" && open === "true") drawing.toggle(head);
    else if (event.key === "ArrowLeft") outer?.focus();
    else return;
    event.preventDefault();
  });
  by("canvas").addEventListener("click", (event) => { if (!headOf(event)) drawing.about(null); });

  by("unfold").addEventListener("click", () => drawing.openAll());
  by("fold").addEventListener("click", () => drawing.closeAll());
  by("smaller").addEventListener("click", () => drawing.zoom(drawing.scale / 1.25));
  by("larger").addEventListener("click", () => drawing.zoom(drawing.scale * 1.25));
  by("actual").addEventListener("click", () => drawing.zoom(1));
  by("fit").addEventListener("click", () => drawing.fit());
  by("search").addEventListener("input", (event) => drawing.find(event.target.value));
  by("search").addEventListener("keydown", (event) => { if (event.key === "Enter") drawing.next(); });
  for (const radio of document.querySelectorAll("#colouring input")) {
    const total = network.totals[radio.value];
    radio.disabled = radio.value !== "kind" && !(typeof total === "number" && total > 0);
    if (radio.disabled) radio.parentElement.title = total ? "depends on open sizes" : "there are none";
    radio.addEventListener("change", () => drawing.colourBy(radio.value));
  }
  by("theme").addEventListener("click", () => {
    const themes = ["auto", "light", "dark"], root = document.documentElement;
    root.dataset.theme = themes[(themes.indexOf(root.dataset.theme) + 1) % 3];
    by("theme").textContent = "Theme: " + root.dataset.theme;
  });
  document.addEventListener("keydown", (event) => {
    if (event.target.matches("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {"+": "larger", "-": "smaller", 0: "actual", f: "fit", "/": "search"};
    if (!keys[event.key]) return;
    event.preventDefault();
    if (event.key === "/") by("search").focus();
    else by(keys[event.key]).click();
  });
  window.addEventListener("resize", () => drawing.settle());
  by("theme").textContent = "Theme: " + document.documentElement.dataset.theme;
  drawing.colourBy(document.querySelector("#colouring :checked").value);  // a browser may remember what was chosen
  drawing.openAll(network.depth);
  const follow = () => { if (location.hash.length > 1) drawing.goTo(decodeURIComponent(location.hash.slice(1))); };
  window.addEventListener("hashchange", follow);
  follow();
}

if (typeof document !== "undefined") start();
else module.exports = {digits, bytes, written, percent, share, seen, boxes, matches, foundIn};
