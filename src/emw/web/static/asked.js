// What several requests ask together: the same sum that the server makes of a territory's.

/** kW: of a node its largest request, or what those under it come to; roots add up. `nodes`: id to `{ parent }`. */
export function together(requests, nodes) {
  const own = new Map();
  const depth = new Map();
  for (const { territory, requestedKW } of requests) {
    own.set(territory, Math.max(own.get(territory) ?? 0, requestedKW));
    const path = [];
    for (let id = territory; nodes.has(id); id = nodes.get(id).parent) path.unshift(id);
    path.forEach((id, n) => depth.set(id, n));
  }
  const below = new Map();
  let whole = 0;
  for (const id of [...depth.keys()].sort((a, b) => depth.get(b) - depth.get(a))) {
    const kw = Math.max(own.get(id) ?? 0, below.get(id) ?? 0);
    const { parent } = nodes.get(id);
    if (nodes.has(parent)) below.set(parent, (below.get(parent) ?? 0) + kw);
    else whole += kw;
  }
  return whole;
}
