// Moves the results while people look. The page is complete without it.
"use strict";

const page = document.querySelector("[data-live-url]");
const status = page.querySelector("[data-status]");
const announcer = page.querySelector("[data-announcer]");
const FIRST_WAIT = 2000;
const LONGEST_WAIT = 30000;
const ANNOUNCE_EVERY = 5000;
const DRAW_EVERY = 5000;
const SILENCE = 40000;

let version = Number(page.dataset.version);
// Rounds can be counted later than the votes: the version that they have counted, -1 while there are none.
let roundsVersion = Number(page.dataset.counted);
let stream = null;
let timer = null;
let watchdog = null;
let wait = FIRST_WAIT;
let etag = "";
let polls = 0;
let ended = page.dataset.state !== "open";
// No stream brings the rounds of a poll that has closed.
if (ended && roundsVersion < 0 && page.querySelector("[data-behind]")) {
  setTimeout(() => location.reload(), 2000 + 2000 * Math.random());
}
// Whatever was begun in an earlier turn (a request under way, say) has no say any more.
let turn = 0;

const jitter = (milliseconds) => milliseconds * (0.8 + 0.4 * Math.random());
const count = (n, word) => `${n} ${word}${n === 1 ? "" : "s"}`;

function say(words) {
  if (status) status.textContent = words;
}

// Load the page anew for what numbers cannot show, and not everybody at once. Twice for one reason would be a loop,
// as long as the server that made the page and the one that sends the numbers do not agree.
const renewed = `polls ${location.pathname}`;
function renew(reason) {
  try {
    if (sessionStorage.getItem(renewed) === reason) return;
    sessionStorage.setItem(renewed, reason);
  } catch {
    return;
  }
  // A server may hold a page for a second.
  setTimeout(() => location.reload(), 1000 + 3000 * Math.random());
}

// They agree: the same may happen once more.
function agree() {
  try {
    sessionStorage.removeItem(renewed);
  } catch {
    // Where nothing can be kept, nothing is renewed.
  }
}

function over(reason) {
  return reason === "closed" ? "has just closed" : "no longer shown";
}

function end(words) {
  stop();
  ended = true;
  say(words);
}

function show(tally) {
  if (tally.question.state !== "open") {
    end(over(tally.question.state));
    return renew(tally.question.state);
  }
  const rows = [...page.querySelectorAll("[data-choice]")];
  const words = (row) => `${row.dataset.choice} ${row.querySelector("[data-text]").textContent}`;
  const shown = rows.map(words).join();
  const told = tally.choices.map((choice) => `${choice.id} ${choice.text}`).join();
  if (shown === told) agree();
  else renew(told);
  // A tally that has counted less than what is shown came by a slower way.
  if (tally.version < version) return;
  // Another worker may have counted fewer votes into its rounds than this page shows.
  const counted = tally.rounds.length > 0 && tally.rounds_version >= roundsVersion;
  const moved = tally.version > version || (counted && tally.rounds_version > roundsVersion);
  version = tally.version;
  if (counted) roundsVersion = tally.rounds_version;
  page.querySelector("[data-ballots]").textContent = count(tally.ballots, "ballot");
  for (const choice of tally.choices) {
    const row = rows.find((one) => one.dataset.choice === String(choice.id));
    if (!row) continue;
    row.querySelector("[data-votes]").textContent = choice.votes;
    row.querySelector("[data-percent]").textContent = `${choice.percent.toFixed(1)}%`;
    row.querySelector("meter").value = choice.percent;
  }
  if (counted) showRounds(tally);
  const behind = page.querySelector("[data-behind]");
  if (behind) behind.textContent = roundsVersion < version ? tally.behind : "";
  if (moved) announce(tally);
  if (moved) draw();
}

// The server has rendered the table, as in the page. The wall has none.
function showRounds(tally) {
  page.querySelector("[data-outcome]").textContent = tally.outcome;
  const rounds = page.querySelector("[data-rounds]");
  if (rounds) rounds.innerHTML = tally.rounds_table;
}

// The server draws the picture: not for each ballot, and not for everybody in the same moment.
const picture = page.querySelector("[data-picture]");
let drawing = null;
function draw() {
  if (picture) drawing ??= setTimeout(() => {
    drawing = null;
    picture.src = `${picture.dataset.picture}?version=${version}&rounds=${roundsVersion}`;
  }, jitter(DRAW_EVERY));
}

// A screen reader hears the newest state, at most every few seconds.
let news = null;
let announcing = null;
function announce(tally) {
  news = tally;
  announcing ??= setTimeout(() => {
    announcing = null;
    announcer.textContent = [count(news.ballots, "ballot")]
      .concat(news.choices.map((choice) => `${choice.text}: ${choice.votes}`))
      .concat(news.outcome || []).join(", ");
  }, ANNOUNCE_EVERY);
}

// A network that has gone tells nobody: without a sign of life the stream is opened anew.
function alive() {
  say("live");
  wait = FIRST_WAIT;
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    say("offline, retrying");
    start();
  }, SILENCE);
}

function listen() {
  const address = new URL(page.dataset.liveUrl, location.href);
  address.searchParams.set("version", version);
  const source = stream = new EventSource(address);
  source.onmessage = (event) => {
    alive();
    show(JSON.parse(event.data));
  };
  source.addEventListener("beat", alive);
  source.addEventListener("end", (event) => {
    const { reason } = JSON.parse(event.data);
    end(over(reason));
    // A page that shows what it must not any more goes too.
    if (reason !== "gone") renew(reason);
  });
  source.onerror = () => {
    // The browser comes back by itself, unless the server does not stream (204) or is away behind a proxy.
    if (source.readyState === EventSource.CLOSED) later(0);
    else say("offline, retrying");
  };
}

async function poll() {
  const mine = turn;
  polls += 1;
  // What is shown, as the server writes it: another worker may have an older tally in memory.
  const seen = `"${version}-"`;
  try {
    const answer = await fetch(page.dataset.jsonUrl, {
      headers: { "If-None-Match": etag ? `${etag}, ${seen}` : seen },
      cache: "no-store",
      signal: AbortSignal.timeout(10000),
    });
    const tally = answer.status === 200 ? await answer.json() : null;
    if (mine !== turn) return;
    if (answer.status === 403) renew("hidden");
    if (answer.status === 403 || answer.status === 404) return end("no longer shown");
    if (!tally && answer.status !== 304) throw new Error(answer.status);
    say("live");
    const before = version;
    if (tally) {
      etag = answer.headers.get("ETag") || "";
      show(tally);
    }
    wait = version > before ? FIRST_WAIT : Math.min(wait * 1.5, LONGEST_WAIT);
    // Who polls because a stream broke tries it again; where there is none, only now and then.
    if (page.dataset.streams === "True" || polls % 10 === 0) return later(wait, start);
  } catch {
    if (mine !== turn) return;
    say("offline, retrying");
    wait = Math.min(wait * 1.5, LONGEST_WAIT);
  }
  later(wait);
}

function later(milliseconds, next = poll) {
  stop();
  if (!ended && !document.hidden) timer = setTimeout(next, jitter(milliseconds));
}

function stop() {
  turn += 1;
  clearTimeout(timer);
  clearTimeout(watchdog);
  stream?.close();
  stream = null;
}

function start() {
  stop();
  if (!ended && !document.hidden) listen();
}

document.addEventListener("visibilitychange", () => {
  wait = FIRST_WAIT;
  start();
});
window.addEventListener("online", start);
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
    if (event.key.toLowerCase() === "f" && !event.ctrlKey && !event.metaKey && !event.altKey) toggle();
  });
}

start();
