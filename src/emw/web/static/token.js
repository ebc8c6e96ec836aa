// The one-time token in the address's fragment, taken out of the address before anything else runs.

export const token = location.hash.slice(1);
if (token) history.replaceState(null, "", location.pathname);
