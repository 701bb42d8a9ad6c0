// What WeChat does for a page, where it has let this page do so: its own Scan, and asking for consent to messages.
import wx from "weixin-js-sdk";

const place = document.querySelector("[data-wechat]");
const offers = place.querySelector("[data-offers]");

wx.config({
  appId: place.dataset.app,
  timestamp: Number(place.dataset.timestamp),
  nonceStr: place.dataset.nonce,
  signature: place.dataset.signature,
  jsApiList: ["scanQRCode"],
  openTagList: offers ? ["wx-open-subscribe"] : [],
});
wx.ready(() => (place.hidden = false));

/** What was read goes to the page's own form. */
function scan() {
  const form = document.querySelector("form[action='/scan']");
  wx.scanQRCode({
    needResult: 1,
    scanType: ["qrCode"],
    success: (answer) => {
      form.elements.scanned.value = answer.resultStr;
      form.querySelector("button[type=submit]").click();
    },
  });
}

/** The templates that the person agreed to, out of what WeChat's own button tells. */
function agreed(details) {
  return Object.entries(JSON.parse(details ?? "{}"))
    .filter((entry) => JSON.parse(entry[1]).status === "accept")
    .map((entry) => entry[0]);
}

/** A button that WeChat draws itself: a page cannot ask in its place. Our styles reach its inside by what is inherited. */
function offer(templates, words) {
  const form = place.querySelector("form");
  const button = document.createElement("wx-open-subscribe");
  button.setAttribute("template", templates);
  const inside = document.createElement("script");
  inside.type = "text/wxtag-template";
  inside.textContent = `<div role="button" tabindex="0">${words}</div>`;
  button.append(inside);
  button.addEventListener("success", (event) => {
    const accepted = agreed(event.detail.subscribeDetails);
    if (accepted.length === 0) return;
    form.elements.templates.value = accepted.join(",");
    form.requestSubmit();
  });
  button.addEventListener("error", () => (place.querySelector("[role=alert]").hidden = false));
  offers.append(button);
}

if (offers) {
  for (const asked of offers.querySelectorAll("[data-templates]")) offer(asked.dataset.templates, asked.dataset.words);
} else {
  place.querySelector("button").addEventListener("click", scan);
}
