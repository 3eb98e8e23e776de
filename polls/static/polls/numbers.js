// The numbers of an organiser's page move: it is asked for them every few seconds, while it is looked at.
"use strict";

const SECONDS = 4;
const page = document.querySelector("[data-numbers]");
let etag = "";

function show(numbers) {
  for (const place of document.querySelectorAll("[data-number]")) {
    const value = numbers[place.dataset.number];
    if (typeof value === "number") place.value = value;
    else if (value !== undefined && place.textContent !== value) place.textContent = value;
  }
}

async function ask() {
  try {
    const headers = etag ? { "If-None-Match": etag } : {};
    const answer = await fetch(page.dataset.numbers, { headers, redirect: "error" });
    if (answer.status !== 200) return;
    etag = answer.headers.get("ETag");
    show(await answer.json());
  } catch {
    // The line is down, or the log-in has ended: the numbers stay, and the next try may find better.
  }
}

setInterval(() => document.hidden || ask(), SECONDS * 1000);
document.addEventListener("visibilitychange", () => document.hidden || ask());
