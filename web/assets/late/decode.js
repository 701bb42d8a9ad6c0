// Reads codes in pictures; loaded when somebody opens the camera or chooses a picture, which in WeChat hardly anybody does.
export { decodeQR } from "qr/decode.js";
