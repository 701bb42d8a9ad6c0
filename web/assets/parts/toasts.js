// Says when a part of a page could not be loaded; the words come with the page.
export function toasts() {
  const say = (words) => {
    const place = document.getElementById("toast");
    if (!place) return;
    place.textContent = words;
    place.hidden = false;
    clearTimeout(place.timer);
    place.timer = setTimeout(() => (place.hidden = true), 5000);
  };
  document.body.addEventListener("htmx:responseError", () => say(document.body.dataset.failed));
  document.body.addEventListener("htmx:sendError", () => say(document.body.dataset.offline));
  document.body.addEventListener("htmx:timeout", () => say(document.body.dataset.offline));
}
