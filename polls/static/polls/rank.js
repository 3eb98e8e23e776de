// Ranks by tapping. It only fills in the selects of the form, which stay the ballot: without it they are used as they are.

const box = document.querySelector("[data-ranks]");
const words = box.dataset;
const selects = [...box.querySelectorAll("select")];
const texts = new Map([...selects[0].options].slice(1).map((option) => [option.value, option.text]));
let ranked = [];

const ARROW_UP = "M12 19V5M6 11l6-6 6 6";
const ARROW_DOWN = "M12 5v14M6 13l6 6 6-6";
const CROSS = "M6 6l12 12M18 6L6 18";

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function say(sentence, id, rank) {
  return sentence.replace("{rank}", rank).replace("{choice}", () => texts.get(id));
}

function icon(line) {
  const [svg, path] = ["svg", "path"].map((name) => document.createElementNS("http://www.w3.org/2000/svg", name));
  svg.setAttribute("class", "icon");
  svg.setAttribute("viewBox", "0 0 24 24");
  path.setAttribute("d", line);
  svg.append(path);
  return svg;
}

function tool(line, label, disabled, act) {
  const made = element("button", { type: "button", className: "tool", disabled, onclick: act, ariaLabel: label }, icon(line));
  made.title = label;
  return made;
}

// Each in its own direction, all at the side where a page of this language begins.
const language = box.dataset.lang ? { lang: box.dataset.lang } : {};
const text = (id) => element("span", { className: "text" }, element("bdi", language, texts.get(id)));
const order = element("ol", { className: "options ranking", ariaLabel: words.ranking });
const rest = element("ul", { className: "options ranking", ariaLabel: words.rest });
const hint = element("p", { className: "hint group" });
// An <output> is read out when it changes.
const note = element("output", { className: "unseen" });
box.before(order, hint, rest, note);
box.hidden = true;

function rankedRow(id, index) {
  return element("li", {},
    element("span", { className: "place" }, String(index + 1)),
    text(id),
    element("span", { className: "tools" },
      tool(ARROW_UP, say(words.up, id), index === 0, () => move(id, -1)),
      tool(ARROW_DOWN, say(words.down, id), index === ranked.length - 1, () => move(id, 1)),
      tool(CROSS, say(words.out, id), false, () => remove(id))));
}

function unrankedRow(id) {
  const disabled = ranked.length === selects.length;
  return element("li", {}, element("button",
    { type: "button", className: "option", disabled, onclick: () => add(id) },
    element("span", { className: "ring" }), text(id)));
}

function hintNow() {
  if (!ranked.length) return words.first;
  if (ranked.length === texts.size) return words.all;
  if (ranked.length === selects.length) return words.full;
  return say(words.next, "", ranked.length + 1);
}

function show() {
  selects.forEach((select, index) => { select.value = ranked[index] ?? ""; });
  order.replaceChildren(...ranked.map(rankedRow));
  rest.replaceChildren(...[...texts.keys()].filter((id) => !ranked.includes(id)).map(unrankedRow));
  hint.textContent = hintNow();
}

// A row that is made anew has lost the focus: it goes where the next step probably is.
function focus(...places) {
  places.map((place) => place && [...place.querySelectorAll("button:enabled")]).find((found) => found?.length)?.[0].focus();
}

function add(id) {
  const index = [...texts.keys()].filter((one) => !ranked.includes(one)).indexOf(id);
  ranked.push(id);
  show();
  note.textContent = `${say(words.moved, id, ranked.length)} ${hint.textContent}`;
  focus(rest.children[index], rest, order.lastElementChild);
}

function move(id, step) {
  const index = ranked.indexOf(id);
  ranked.splice(index, 1);
  ranked.splice(index + step, 0, id);
  show();
  note.textContent = say(words.moved, id, index + step + 1);
  const [up, down] = order.children[index + step].querySelectorAll("button");
  (step < 0 && !up.disabled || down.disabled ? up : down).focus();
}

function remove(id) {
  const index = ranked.indexOf(id);
  ranked.splice(index, 1);
  show();
  note.textContent = `${say(words.removed, id)} ${hint.textContent}`;
  order.children[Math.min(index, ranked.length - 1)]?.querySelector("button:last-child").focus();
  if (!ranked.length) focus(rest);
}

// The link from an error leads to the first select, which is not shown any more.
document.querySelector(`a[href="#${selects[0].id}"]`)?.addEventListener("click", (event) => {
  event.preventDefault();
  focus(rest, order);
});

// The browser puts back what was chosen before, when somebody comes back to the page.
function read() {
  ranked = [...new Set(selects.map((select) => select.value))].filter((id) => texts.has(id));
  show();
}
window.addEventListener("pageshow", read);
read();
