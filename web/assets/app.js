// What borrowers' and merchants' pages do beyond HTML. Everything works without it, except where a page says otherwise.
import htmx from "htmx.org";
import { forms } from "./parts/forms.js";
import { languages } from "./parts/languages.js";
import { toasts } from "./parts/toasts.js";
import { waits } from "./parts/waits.js";

window.htmx = htmx;
languages();
forms();
toasts();
waits();
