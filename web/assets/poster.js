// The button that prints is there only where it works; in WeChat nothing comes of it.
const button = document.querySelector("button.print");
button.hidden = navigator.userAgent.includes("MicroMessenger");
button.addEventListener("click", () => window.print());
