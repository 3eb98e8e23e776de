// Says at once how many choices are chosen, and groups what is typed as a code. The page is complete without it.

const counter = document.querySelector("[data-chosen]");
const code = document.querySelector("[data-groups]");

function count() {
  const boxes = [...counter.closest("form").elements.choice];
  const number = boxes.filter((box) => box.checked).length;
  const isOver = number > Number(counter.dataset.most);
  counter.classList.toggle("over", isOver);
  counter.textContent = (isOver ? counter.dataset.over : counter.dataset.chosen).replace("{number}", number);
}

function grouped(text) {
  const bare = text.replace(/[^\p{L}\p{N}]/gu, "").toUpperCase();
  return bare.match(new RegExp(`.{1,${code.dataset.groups}}`, "gu"))?.join("-") ?? "";
}

// The caret stays behind the character it was behind.
function group(event) {
  if (event.isComposing) return;
  const before = grouped(code.value.slice(0, code.selectionStart));
  code.value = grouped(code.value);
  code.setSelectionRange(before.length, before.length);
}

if (counter) {
  counter.closest("form").addEventListener("change", count);
  // The browser ticks again what was ticked before, when somebody comes back to the page.
  window.addEventListener("pageshow", count);
}
code?.addEventListener("input", group);
