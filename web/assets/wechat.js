// Scans with WeChat's own Scan, where WeChat has let this page do so; what it read goes to the page's own form.
import wx from "weixin-js-sdk";

const place = document.querySelector("[data-wechat]");
const form = document.querySelector("form[action='/scan']");

wx.config({
  appId: place.dataset.app,
  timestamp: Number(place.dataset.timestamp),
  nonceStr: place.dataset.nonce,
  signature: place.dataset.signature,
  jsApiList: ["scanQRCode"],
});
wx.ready(() => (place.hidden = false));
place.querySelector("button").addEventListener("click", () => {
  wx.scanQRCode({
    needResult: 1,
    scanType: ["qrCode"],
    success: (answer) => {
      form.elements.scanned.value = answer.resultStr;
      form.querySelector("button[type=submit]").click();
    },
  });
});
