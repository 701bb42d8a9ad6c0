// The button that prints is there only where it works.
const button = document.querySelector("button.print");
button.hidden = false;
button.addEventListener("click", () => window.print());
