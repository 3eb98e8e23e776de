// Copies a receipt. Without it the receipt is there to be written down.

async function copy(text) {
  // Browsers have a clipboard on https and on this machine alone; elsewhere they copy what is selected.
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(field);
  field.select();
  document.execCommand("copy");
  field.remove();
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await copy(button.dataset.copy);
    // A button that has the focus is read anew.
    button.textContent = button.dataset.copied;
  });
}
