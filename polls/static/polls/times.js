// Writes times in the reader's zone, and names it. Without it they are in the site's zone, which is named too.

// As the server writes it: the day before the month, in English too.
const language = document.documentElement.lang.replace(/^en$/, "en-GB");
const written = new Intl.DateTimeFormat(`${language}-u-nu-latn`, {
  day: "numeric", month: "long", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  timeZoneName: "short",
});
function write() {
  for (const time of document.querySelectorAll("time[datetime]")) {
    const words = written.format(new Date(time.dateTime));
    // What says "in 3 days" has the time itself in its title.
    if (time.title) time.title = words;
    else time.textContent = words;
  }
}
write();
// By live.js, which has put new ones into the page.
document.addEventListener("renewed", write);

// On paper, until when its numbers are right.
addEventListener("beforeprint", () => {
  for (const place of document.querySelectorAll("[data-printed]")) place.textContent = written.format(new Date());
});
