// A button that may be pressed again after so many seconds counts them down.
export function waits() {
  for (const button of document.querySelectorAll("button[data-again]")) {
    const words = button.textContent;
    let left = Number(button.dataset.again);
    const tick = () => {
      button.disabled = left > 0;
      button.textContent = left > 0 ? `${words} (${left})` : words;
      if (left-- > 0) setTimeout(tick, 1000);
    };
    tick();
  }
}
