// Moves the results while people look. The page is complete without it, and gives it all words: from data-said-..., or from the tally.

const FIRST_WAIT = 2000;
const LONGEST_WAIT = 30000;
const ANNOUNCE_EVERY = 5000;
const DRAW_EVERY = 5000;
const SILENCE = 40000;

let page = document.querySelector("[data-live-url]");
// Where it stays when the page is renewed, a screen reader hears what is put into it.
const announcer = document.body.appendChild(document.querySelector("[data-announcer]"));
let version = 0;
// Rounds can be counted later than the votes: the version that they have counted, -1 while there are none.
let roundsVersion = -1;
let ended = true;
let stream = null;
let timer = null;
let watchdog = null;
let wait = FIRST_WAIT;
let etag = "";
let polls = 0;
// Whatever was begun in an earlier turn (a request under way, say) has no say any more.
let turn = 0;

const find = (name) => page.querySelector(`[data-${name}]`);
const jitter = (milliseconds) => milliseconds * (0.8 + 0.4 * Math.random());

function put(name, words) {
  const place = find(name);
  if (place && place.textContent !== words) place.textContent = words;
}

// The state of the line: words beside a dot.
function say(state) {
  put("status", page.dataset[`said${state}`]);
  const pill = find("status")?.closest(".pill");
  pill?.classList.toggle("live", state === "Live");
  pill?.classList.toggle("open", false);
}

// The numbers cannot show everything: then the page's main part is made anew, and not for everybody at once. Twice for
// one reason would be a loop, as long as the server that made it and the one that sends the numbers do not agree.
let renewedFor = "";
let renewing = null;
function renew(reason, milliseconds = 1000 + 3000 * Math.random()) {
  if (renewedFor === reason) return;
  renewedFor = reason;
  // A server may hold a page for a second.
  clearTimeout(renewing);
  renewing = setTimeout(fetchPage, milliseconds);
}

async function fetchPage() {
  try {
    const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(10000) });
    if (!answer.ok) throw new Error(answer.status);
    replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The network is away: what is shown stays, and says so by the state of the line.
    renewing = setTimeout(fetchPage, jitter(LONGEST_WAIT));
  }
}

// Who reads keeps the place: the scroll, what has the focus, what is unfolded.
function replace(fresh) {
  const main = document.querySelector("main");
  const next = fresh.querySelector("main");
  if (!next?.querySelector("[data-live-url]")) return;
  const name = (one) => one && `${one.localName} ${one.id || one.textContent.trim()}`;
  const focused = main.contains(document.activeElement) ? document.activeElement : null;
  const unfolded = new Set([...main.querySelectorAll("details[open] > summary")].map(name));
  next.querySelector("[data-announcer]")?.remove();
  const isVeiled = document.body.classList.contains("veiled");
  document.title = fresh.title;
  document.body.className = fresh.body.className;
  main.replaceChildren(...next.childNodes);
  document.dispatchEvent(new Event("renewed"));
  veil(isVeiled);
  for (const summary of main.querySelectorAll("summary")) {
    if (unfolded.has(name(summary))) summary.parentElement.open = true;
  }
  // It shows the presenter's buttons, one of which may have the focus.
  begin();
  if (focused) {
    const targets = main.querySelectorAll("a, button, summary, input, [tabindex]");
    const same = [...targets].find((one) => name(one) === name(focused));
    if (!same) main.tabIndex = -1;
    (same || main).focus({ preventScroll: true });
  }
}

// What a screen reader hears, at most every few seconds: the newest.
let news = "";
let announcing = null;
function announce(words) {
  news = words;
  announcing ??= setTimeout(() => {
    announcing = null;
    announcer.textContent = news;
  }, ANNOUNCE_EVERY);
}

// The last word, before it all stops.
function end(reason) {
  stop();
  ended = true;
  const state = { closed: "Closed", shown: "Shown" }[reason] || "Hidden";
  say(state);
  // That is heard at once, and no older news after it.
  clearTimeout(announcing);
  announcing = null;
}

function show(tally) {
  if (tally.question.state !== "open") {
    end(tally.question.state);
    return renew(tally.question.state);
  }
  const moved = tally.choices ? showResults(tally) : tally.ballots !== version;
  if (!tally.choices) version = tally.ballots;
  if (moved === null) return;
  put("ballots", tally.ballots_text);
  put("number", tally.ballots_number);
  const number = find("number");
  if (number) number.dataset.number = tally.ballots_number.length;
  // The presenter has them hidden.
  const outcome = document.body.classList.contains("veiled") ? "" : tally.outcome;
  if (moved) announce([tally.ballots_text, outcome].filter(Boolean).join(". "));
}

// Return whether something has moved; null for a tally that is older than what is shown.
function showResults(tally) {
  const rows = [...page.querySelectorAll("[data-choice]")];
  const words = (row) => `${row.dataset.choice} ${row.querySelector("[data-text]").textContent}`;
  const shown = rows.map(words).sort().join();
  const told = tally.choices.map((choice) => `${choice.id} ${choice.text}`).sort().join();
  if (shown === told) renewedFor = "";
  else renew(told);
  // A tally that has counted less than what is shown came by a slower way.
  if (tally.version < version) return null;
  // Another worker may have counted fewer votes into its rounds than this page shows.
  const counted = tally.rounds.length > 0 && tally.rounds_version >= roundsVersion;
  const moved = tally.version > version || (counted && tally.rounds_version > roundsVersion);
  version = tally.version;
  if (counted) roundsVersion = tally.rounds_version;
  // Bars of rounds move with the rounds.
  if (counted || !tally.rounds.length) showBars(tally, rows);
  if (counted && find("rounds")) find("rounds").innerHTML = tally.rounds_table;
  put("outcome", tally.outcome);
  put("behind", roundsVersion < version ? tally.behind : "");
  if (moved) draw();
  return moved;
}

// Those of the last round, where there are rounds.
function showBars({ choices, bars, leaders }, rows) {
  const shares = choices.map((choice, n) => bars[n] ? bars[n].share : choice.percent);
  choices.forEach((choice, n) => {
    const row = rows.find((one) => one.dataset.choice === String(choice.id));
    if (!row) return;
    const said = bars[n] || choice;
    row.classList.toggle("lead", leaders.includes(choice.id));
    row.querySelector("[data-votes]").textContent = said.votes_text;
    row.querySelector("[data-percent]").textContent = said.percent_text;
    row.hidden = !said.percent_text && !row.querySelector(".mark");
    row.querySelector("meter").value = shares[n];
  });
  sort(find("sorted"), choices, shares);
}

// The longest first, where the page has them so; of equals, whichever stands before the other in the tally.
function sort(list, choices, shares) {
  if (!list) return;
  const order = choices.map((choice, n) => [String(choice.id), shares[n]]).sort((a, b) => b[1] - a[1]);
  const places = new Map(order.map(([id], place) => [id, place]));
  const rows = [...list.children];
  const sorted = rows.toSorted((a, b) => places.get(a.dataset.choice) - places.get(b.dataset.choice));
  if (sorted.some((row, n) => row !== rows[n])) list.append(...sorted);
}

// The server draws the picture: not for each ballot, and not for everybody in the same moment.
let drawing = null;
function draw() {
  if (find("picture")) drawing ??= setTimeout(() => {
    drawing = null;
    const picture = find("picture");
    if (picture) picture.src = `${picture.dataset.picture}?version=${version}&rounds=${roundsVersion}`;
  }, jitter(DRAW_EVERY));
}

// A network that has gone tells nobody: without a sign of life the stream is opened anew.
function alive() {
  say("Live");
  wait = FIRST_WAIT;
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    say("Offline");
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
    end(reason);
    // A page that shows what it must not any more goes too.
    if (reason !== "gone") renew(reason);
  });
  source.onerror = () => {
    // The browser comes back by itself, unless the server does not stream (204) or is away behind a proxy.
    if (source.readyState === EventSource.CLOSED) later(0);
    else say("Offline");
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
    if (answer.status === 403 || answer.status === 404) return end("hidden");
    if (!tally && answer.status !== 304) throw new Error(answer.status);
    say("Live");
    const before = version;
    if (tally) {
      etag = answer.headers.get("ETag") || "";
      show(tally);
    }
    wait = version !== before ? FIRST_WAIT : Math.min(wait * 1.5, LONGEST_WAIT);
    // Who polls because a stream broke tries it again; where there is none, only now and then.
    if (page.dataset.streams === "True" || polls % 10 === 0) return later(wait, start);
  } catch {
    if (mine !== turn) return;
    say("Offline");
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

// Read what the server has written into the page, and go on from there.
function begin() {
  page = document.querySelector("[data-live-url]");
  version = Number(page.dataset.version);
  roundsVersion = Number(page.dataset.counted);
  etag = "";
  wait = FIRST_WAIT;
  ended = page.dataset.state !== "open" || renewedFor === "closed";
  // No stream brings the rounds of a poll that has closed.
  if (page.dataset.state !== "open" && roundsVersion < 0 && find("behind")?.textContent) {
    renewedFor = "";
    renew("rounds", 2000 + 2000 * Math.random());
  }
  if (ended && page.dataset.state === "open") say("Closed");
  showControls();
  start();
}

document.addEventListener("visibilitychange", () => {
  wait = FIRST_WAIT;
  start();
});
window.addEventListener("online", start);
// A page that the back button brings out of memory goes on.
window.addEventListener("pageshow", (event) => event.persisted && start());
window.addEventListener("pagehide", stop);

// The presenter's controls on a wall.
function showControls() {
  for (const name of ["fullscreen", "veil"]) {
    const button = document.querySelector(`[data-${name}]`);
    if (button) button.hidden = name === "veil" ? !find("veiled") : !document.fullscreenEnabled;
  }
}

function veil(isVeiled) {
  document.body.classList.toggle("veiled", isVeiled);
  const button = document.querySelector("[data-veil]");
  if (button) button.textContent = isVeiled ? button.dataset.veil : button.dataset.unveiled;
}

document.addEventListener("click", ({ target }) => {
  if (target.closest("[data-fullscreen]")) {
    if (document.fullscreenElement) document.exitFullscreen();
    else document.documentElement.requestFullscreen();
  }
  if (target.closest("[data-veil]")) veil(!document.body.classList.contains("veiled"));
});

begin();
