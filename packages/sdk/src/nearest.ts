/**
 * Finds the names that nobody reads: a misspelt `WEIR_CONCURENCY` would otherwise be silently without effect. Only names
 * that begin with WEIR_ or KAFKA_ are ours to judge; the rest of the environment belongs to others.
 */

/** Least number of letters to insert, drop or change to get from one text to the other. */
export function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, at) => at);
  for (let i = 1; i <= from.length; i++) {
    const next = [i];
    for (let j = 1; j <= to.length; j++) {
      const change = row[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1);
      next.push(Math.min(change, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[to.length]!;
}

/** The known name that is nearest, or undefined when none is near enough to be what was meant. */
export function nearestName(name: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let least = Math.max(2, Math.floor(name.length / 4)) + 1;
  for (const each of known) {
    const distance = editDistance(name, each);
    if (distance < least) {
      least = distance;
      best = each;
    }
  }
  return best;
}

/**
 * Kubernetes sets variables for every Service of the namespace: one called `kafka` gives KAFKA_PORT=tcp://…,
 * KAFKA_SERVICE_HOST, KAFKA_PORT_9092_TCP_ADDR and more. Those are no settings.
 */
function isServiceLink(name: string, value: string): boolean {
  return (
    /_SERVICE_(HOST|PORT(_[A-Z0-9_]+)?)$/.test(name) ||
    /_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name) ||
    (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value))
  );
}

/** One line for each variable of the environment that looks like ours and is not. */
export function unknownNames(env: Readonly<Record<string, string | undefined>>, known: ReadonlySet<string>): string[] {
  const lines: string[] = [];
  for (const [name, value] of Object.entries(env)) {
    if (!/^(WEIR|KAFKA)_/.test(name) || known.has(name) || value === undefined || isServiceLink(name, value)) continue;
    const nearest = nearestName(name, known);
    lines.push(
      nearest === undefined
        ? `${name} is not a setting of this process: it has no effect`
        : `${name} is not a setting: did you mean ${nearest}?`,
    );
  }
  return lines.sort();
}
