// A form that was sent cannot be sent again by a second tap, and shows that it is under way.

// The server has given up by then: where the request was lost and the browser has kept the page, the form can be sent again.
const patience = 25_000;

function release(form) {
  clearTimeout(form.timer);
  delete form.dataset.sent;
  for (const button of form.querySelectorAll("[aria-busy]")) {
    button.removeAttribute("aria-busy");
  }
}

export function forms() {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.hasAttribute("hx-post") || "download" in form.dataset || event.defaultPrevented) return;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    form.dataset.sent = "yes";
    const button = event.submitter ?? form.querySelector("button[type=submit]");
    button?.setAttribute("aria-busy", "true");
    form.timer = setTimeout(() => release(form), patience);
  });
  // A page that comes back out of the browser's memory is fresh again.
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach(release);
  });
  // The first field with an error is where a person goes on.
  document.querySelector("[aria-invalid=true]")?.focus();
}
