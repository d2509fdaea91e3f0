/** The choice of an assignment protocol: every member offers some, the group uses one that all of them know. */
import type { Member, Protocol } from './member.ts';

/** Whether two joins offer the same protocols with the same bytes. */
export function sameProtocols(a: readonly Protocol[], b: readonly Protocol[]): boolean {
  return (
    a.length === b.length &&
    a.every((protocol, index) => protocol.name === b[index]!.name && protocol.metadata.equals(b[index]!.metadata))
  );
}

/** Whether an offer has something that every one of `others` knows. */
export function fits(offer: readonly Protocol[], others: readonly Member[]): boolean {
  return offer.some(({ name }) => others.every((member) => member.protocols.some((known) => known.name === name)));
}

/** Of the protocols that all members know, the one that most of them name first. */
export function electProtocol(members: readonly Member[]): string {
  const common = new Set(members[0]?.protocols.map(({ name }) => name));
  for (const member of members) {
    for (const name of common) if (!member.protocols.some((known) => known.name === name)) common.delete(name);
  }
  const votes = new Map<string, number>();
  for (const member of members) {
    const choice = member.protocols.find(({ name }) => common.has(name))?.name;
    if (choice !== undefined) votes.set(choice, (votes.get(choice) ?? 0) + 1);
  }
  return [...votes].sort(([, a], [, b]) => b - a)[0]?.[0] ?? '';
}
