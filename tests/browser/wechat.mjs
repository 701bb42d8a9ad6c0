// What WeChat's own browser puts into a page: the bridge behind its script, and the button by which it asks for consent.

/** Plays WeChat's side: its Scan reads `scanned`, and its question about messages is answered with yes. */
export async function playWeChat(page, scanned) {
  await page.addInitScript((scanned) => {
    const answers = {
      preVerifyJSAPI: { err_msg: "preVerifyJSAPI:ok" },
      scanQRCode: { err_msg: "scanQRCode:ok", resultStr: scanned },
    };
    window.WeixinJSBridge = {
      invoke: (name, _, done) => setTimeout(() => done?.(answers[name] ?? { err_msg: `${name}:ok` })),
      on: () => {},
      log: () => {},
    };
    customElements.define(
      "wx-open-subscribe",
      class extends HTMLElement {
        connectedCallback() {
          const words = document.createElement("div");
          words.innerHTML = this.querySelector("script").textContent;
          this.attachShadow({ mode: "open" }).append(words.firstElementChild);
          this.addEventListener("click", () => {
            const told = this.getAttribute("template").split(",").map((template) => [template, JSON.stringify({ status: "accept" })]);
            const subscribeDetails = JSON.stringify(Object.fromEntries(told));
            this.dispatchEvent(new CustomEvent("success", { detail: { errMsg: "subscribe:ok", subscribeDetails } }));
          });
        }
      },
    );
  }, scanned);
}
