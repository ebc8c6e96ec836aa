// Sentences in the page's language: the catalogue that the server's templates use too, as a module.

export const language = document.documentElement.lang || "en";
const { default: says } = await import(`/messages/${language}.js`);

/** The sentence of `key`, with `{name}` filled in from `given`. */
export function t(key, given = {}) {
  const text = says[key];
  if (text === undefined) throw new Error(`no sentence for ${key}`);
  return text.replace(/\{(\w+)\}/g, (_, name) => given[name]);
}

/** A word that comes from the server (`state.charging`): translated where it is known, else as it came. */
export const word = (prefix, value) => says[`${prefix}.${String(value).replaceAll(" ", "_")}`] ?? String(value);
