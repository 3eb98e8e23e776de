// Moves the results while people look. The page is complete without it.
"use strict";

const page = document.querySelector("[data-live-url]");
const status = page.querySelector("[data-status]");
const announcer = page.querySelector("[data-announcer]");
const FIRST_WAIT = 2000;
const LONGEST_WAIT = 30000;
const ANNOUNCE_EVERY = 5000;

let version = Number(page.dataset.version);
let stream = null;
let timer = null;
let wait = FIRST_WAIT;
let etag = "";
let polls = 0;
let ended = page.dataset.state !== "open";

const jitter = (milliseconds) => milliseconds * (0.8 + 0.4 * Math.random());
const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

function say(words) {
  status.textContent = words;
}

// A tally that has counted less than what is shown comes from a slower way: it is dropped.
function show(tally) {
  if (tally.version < version) return;
  const rows = page.querySelectorAll("[data-choice]");
  const same = tally.choices.length === rows.length &&
    tally.choices.every((choice, n) => rows[n].dataset.choice === String(choice.id));
  if (!same || tally.question.state !== "open") {
    ended = true;
    location.reload();
    return;
  }
  const moved = tally.version > version;
  version = tally.version;
  page.querySelector("[data-ballots]").textContent = count(tally.ballots, "ballot");
  tally.choices.forEach((choice, n) => {
    rows[n].querySelector("[data-votes]").textContent = choice.votes;
    rows[n].querySelector("[data-percent]").textContent = `${choice.percent.toFixed(1)}%`;
    rows[n].querySelector("meter").value = choice.percent;
  });
  if (moved) announce(tally);
}

// A screen reader hears the newest state, at most every few seconds.
let news = null;
let announcing = null;
function announce(tally) {
  news = tally;
  announcing ??= setTimeout(() => {
    announcing = null;
    announcer.textContent = [count(news.ballots, "ballot")]
      .concat(news.choices.map((choice) => `${choice.text}: ${choice.votes}`)).join(", ");
  }, ANNOUNCE_EVERY);
}

function listen() {
  stream = new EventSource(page.dataset.liveUrl);
  stream.onmessage = (event) => {
    say("live");
    wait = FIRST_WAIT;
    show(JSON.parse(event.data));
  };
  stream.addEventListener("end", (event) => {
    stop();
    ended = true;
    if (JSON.parse(event.data).reason === "closed") location.reload();
    else say("no longer shown");
  });
  stream.onerror = () => {
    // The browser comes back by itself, unless the server does not stream (204) or is away behind a proxy.
    if (stream.readyState === EventSource.CLOSED) later(0);
    else say("offline, retrying");
  };
}

async function poll() {
  polls += 1;
  // Behind a proxy that was without a server for a moment, the stream is worth another try.
  if (polls % 10 === 0) return start();
  try {
    const answer = await fetch(page.dataset.jsonUrl, {
      headers: etag ? { "If-None-Match": etag } : {},
      cache: "no-store",
    });
    if (answer.status === 403 || answer.status === 404) {
      ended = true;
      return say("no longer shown");
    }
    if (answer.status !== 304 && !answer.ok) throw new Error(answer.status);
    const before = version;
    if (answer.ok) {
      etag = answer.headers.get("ETag") || "";
      show(await answer.json());
    }
    say("live");
    wait = version > before ? FIRST_WAIT : Math.min(wait * 1.5, LONGEST_WAIT);
  } catch {
    say("offline, retrying");
    wait = Math.min(wait * 1.5, LONGEST_WAIT);
  }
  later(wait);
}

function later(milliseconds) {
  stream?.close();
  stream = null;
  if (!ended && !document.hidden) timer = setTimeout(poll, jitter(milliseconds));
}

function stop() {
  clearTimeout(timer);
  stream?.close();
  stream = null;
}

function start() {
  stop();
  if (!ended && !document.hidden) listen();
}

document.addEventListener("visibilitychange", () => {
  wait = FIRST_WAIT;
  if (document.hidden) stop();
  else start();
});
// A page that the back button brings out of memory goes on.
window.addEventListener("pageshow", (event) => event.persisted && start());
window.addEventListener("pagehide", stop);

const whole = page.querySelector("[data-fullscreen]");
if (whole) {
  const toggle = () => document.fullscreenElement
    ? document.exitFullscreen() : document.documentElement.requestFullscreen();
  whole.hidden = false;
  whole.addEventListener("click", toggle);
  document.addEventListener("keydown", (event) => {
    if (event.key === "f" && !event.ctrlKey && !event.metaKey && !event.altKey) toggle();
  });
}

start();
