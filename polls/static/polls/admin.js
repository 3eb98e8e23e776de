// What makes an organiser's work shorter. Each page does its work without it.
"use strict";

// Copy a link. Browsers have no clipboard on an http: address; there the selection is copied.
for (const button of document.querySelectorAll("[data-copy]")) {
  const field = document.getElementById(button.dataset.copy);
  const said = button.parentElement.querySelector("[data-said]");
  const name = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
    } catch {
      if (!document.execCommand("copy")) return;
    }
    button.textContent = said.textContent = button.dataset.copied;
    setTimeout(() => { button.textContent = name; said.textContent = ""; }, 4000);
  });
}

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}

// Usual moments, by the clock of the site's zone: its offset from UTC is written beside the boxes, in minutes.
const MINUTE = 60000;
const MOMENTS = {
  empty: () => "",
  hour: (now) => new Date(now.getTime() + 60 * MINUTE),
  tonight(now) {
    const evening = new Date(now);
    evening.setUTCHours(20, 0);
    if (evening <= now) evening.setUTCHours(23, 59);
    return evening;
  },
  week: (now) => new Date(now.getTime() + 7 * 24 * 60 * MINUTE),
};
for (const moment of document.querySelectorAll(".moment")) {
  const [day, time] = moment.querySelectorAll("input");
  const quick = moment.querySelector(".quick");
  quick.hidden = false;
  quick.addEventListener("click", (event) => {
    const choose = MOMENTS[event.target.dataset.quick];
    if (!choose) return;
    const chosen = choose(new Date(Date.now() + moment.dataset.offset * MINUTE));
    [day.value, time.value] = chosen ? [chosen.toISOString().slice(0, 10), chosen.toISOString().slice(11, 16)] : ["", ""];
    day.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

// Leaving by a link takes nothing along that was typed: the browser asks first.
const form = document.getElementById("question_form");
if (form) {
  const sent = () => new URLSearchParams(new FormData(form)).toString();
  // A page that came back with errors has been typed into already.
  const loaded = form.querySelector(".errornote") ? "" : sent();
  let isSaving = false;
  form.addEventListener("submit", () => { isSaving = true; });
  window.addEventListener("pageshow", () => { isSaving = false; });
  window.addEventListener("beforeunload", (event) => {
    if (!isSaving && sent() !== loaded) event.preventDefault();
  });
}
