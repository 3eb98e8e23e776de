// Says that something takes a while: the button that was pressed shows it, and is not pressed twice.
"use strict";

for (const form of document.querySelectorAll("form[data-busy]")) {
  form.addEventListener("submit", (event) => {
    if (form.ariaBusy === "true") {
      event.preventDefault();
      return;
    }
    const button = event.submitter;
    const words = button.value && button.matches("input") ? "value" : "textContent";
    const before = button[words];
    const end = () => { form.ariaBusy = "false"; button[words] = before; };
    // After the browser has read the form: the button's own name and value are sent.
    setTimeout(() => { form.ariaBusy = "true"; button[words] = form.dataset.busy; });
    // What comes as a file leaves the page as it is.
    setTimeout(end, 15000);
    addEventListener("pageshow", end, { once: true });
  });
}
