// Fields for date and time say a wall clock's time and no zone: to and from such a clock in a zone.

/** A moment, ms, as such a field wants it. */
export function toLocal(ms, zone) {
  const form = new Intl.DateTimeFormat("sv-SE", {
    year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", timeZone: zone,
  });
  return form.format(ms).replace(" ", "T");
}

/** What such a field says, as a moment, ms; NaN where it says nothing. */
export function fromLocal(text, zone) {
  const wanted = Date.parse(`${text}Z`);
  // The offset at the first guess may be another than at the moment itself: twice a year the second guess matters.
  let guess = wanted;
  for (let n = 0; n < 2; n += 1) guess += wanted - Date.parse(`${toLocal(guess, zone)}Z`);
  return guess;
}
