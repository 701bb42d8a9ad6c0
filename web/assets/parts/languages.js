// What was typed goes along when the language is switched: the page is asked for anew, and would come with empty forms.
const place = "typed";
const others = ["hidden", "password", "file", "submit", "button"];

/** The fields that a person fills in, by their forms; nothing secret, and nothing that the page has chosen. */
function fields() {
  const all = [...document.querySelectorAll("main form input, main form select, main form textarea")];
  const named = all.filter(({ name, type }) => name && !others.includes(type));
  return named.map((field) => {
    const isTicked = ["checkbox", "radio"].includes(field.type);
    const key = [field.form.getAttribute("action"), field.name, isTicked ? field.value : ""].join(" ");
    return { field, key, property: isTicked ? "checked" : "value" };
  });
}

/** Takes what the page before has left, once. */
function take() {
  const left = JSON.parse(sessionStorage.getItem(place) ?? "{}");
  sessionStorage.removeItem(place);
  for (const { field, key, property } of fields()) {
    if (key in left) field[property] = left[key];
  }
}

export function languages() {
  try {
    take();
  } catch {
    // A browser that keeps nothing: the forms stay as they came.
    return;
  }
  document.querySelector("a.switch")?.addEventListener("click", () => {
    const typed = fields().map(({ field, key, property }) => [key, field[property]]);
    sessionStorage.setItem(place, JSON.stringify(Object.fromEntries(typed)));
  });
}
