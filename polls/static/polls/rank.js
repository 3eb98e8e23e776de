// Ranks by tapping. It only fills in the selects of the form, which stay the ballot: without it they are used as they are.
"use strict";

const box = document.querySelector("[data-ranks]");
const selects = [...box.querySelectorAll("select")];
const texts = new Map([...selects[0].options].slice(1).map((option) => [option.value, option.text]));
let ranked = [];

function element(name, properties, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function labelled(made, label) {
  made.setAttribute("aria-label", label);
  return made;
}

// The symbol says nothing to those who listen.
function tool(symbol, label, disabled, act) {
  return labelled(element("button", { type: "button", className: "tool", disabled, onclick: act }, symbol), label);
}

const order = labelled(element("ol", { className: "ranking" }), "Your ranking");
const rest = labelled(element("ul", { className: "ranking" }), "Not ranked");
const hint = element("p", { className: "state hint" });
// An <output> is read out when it changes.
const note = element("output", { className: "unseen" });
box.before(order, hint, rest, note);
box.hidden = true;

function rankedRow(id, index) {
  const text = texts.get(id);
  return element("li", {},
    element("span", { className: "place" }, String(index + 1)),
    element("span", { className: "text" }, text),
    tool("↑", `${text}: move up`, index === 0, () => move(id, -1)),
    tool("↓", `${text}: move down`, index === ranked.length - 1, () => move(id, 1)),
    tool("×", `${text}: remove`, false, () => remove(id)));
}

function unrankedRow(id) {
  const disabled = ranked.length === selects.length;
  return element("li", {}, element("button",
    { type: "button", className: "choice", disabled, onclick: () => add(id) }, texts.get(id)));
}

function hintNow() {
  if (!ranked.length) return "Tap your first choice, then the next ones in your order.";
  if (ranked.length === texts.size) return "All are ranked.";
  if (ranked.length === selects.length) return "A ballot takes no more. Remove one to rank another.";
  return `Tap what comes next: rank ${ranked.length + 1}.`;
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
  note.textContent = `${texts.get(id)}: rank ${ranked.length}. ${hint.textContent}`;
  focus(rest.children[index], rest, order.lastElementChild);
}

function move(id, step) {
  const index = ranked.indexOf(id);
  ranked.splice(index, 1);
  ranked.splice(index + step, 0, id);
  show();
  note.textContent = `${texts.get(id)}: rank ${index + step + 1}.`;
  const [up, down] = order.children[index + step].querySelectorAll("button");
  (step < 0 && !up.disabled || down.disabled ? up : down).focus();
}

function remove(id) {
  const index = ranked.indexOf(id);
  ranked.splice(index, 1);
  show();
  note.textContent = `${texts.get(id)}: not ranked. ${hint.textContent}`;
  order.children[Math.min(index, ranked.length - 1)]?.querySelector("button:last-child").focus();
  if (!ranked.length) focus(rest);
}

// The browser puts back what was chosen before, when somebody comes back to the page.
function read() {
  ranked = [...new Set(selects.map((select) => select.value))].filter((id) => texts.has(id));
  show();
}
window.addEventListener("pageshow", read);
read();
