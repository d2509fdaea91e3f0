/**
 * Which records of a partition may be killing the processes that handle them (out of memory, a crash in native code,
 * process.exit). Nobody can catch such an end, so it is read from what the dead owner left beside its last commit.
 *
 *   the last commit says `left`      it left in order (drain, awaited revoke): nothing is held against anybody
 *   it says `at-work`                an unclean end: a strike against what was in flight
 *
 * What counts, exactly. A strike against a record is an owner's unclean end with the record in its hands:
 *
 *   not known   an owner without suspicion writes nothing ahead; at its end every record between the watermark and
 *               `until` (as far as work can have got since the last commit) may have been in flight: one strike, for all
 *   known       from then on what is started is written down first: only those get a strike
 *
 * One strike: started among others, written down. Two: alone. Three: a dead letter. A record that is finished is forgotten,
 * and an end that comes after leaves no trace on it; handing over, drains and rebalances add nothing and take nothing away.
 * An owner that reads its own name has not died (it lost its session, and is back): no strike, and what it was held for
 * before is forgiven. So it is when an owner is seen committing later: it was away, not dead (`ends` names them for that).
 *
 *   x=a<until − offset, base 36>.<writer>@<time, base 36>+….<base64 of varints: gap, length, 2 · strikes + in flight>
 */
import { readVarints, writeVarint } from '../varint.ts';

export interface Suspect {
  readonly offset: number;
  readonly strikes: number;
  /** Started, or about to be, when this was written. */
  readonly inFlight: boolean;
}

/** An unclean end. */
export interface End {
  /** Who: the writer of the last commit. */
  readonly writer: string;
  /** When the next owner took over, ms since the epoch. */
  readonly at: number;
}

export interface Suspicion {
  /** Below it, what is neither done nor listed has one strike. */
  readonly until: number;
  /** The last unclean ends, oldest first. */
  readonly ends: readonly End[];
  /** By offset. */
  readonly suspects: readonly Suspect[];
}

/** From this many strikes on a record is alone in its process while it is handled, and from this many it is dead. */
export const STRIKES_ALONE = 2;
export const STRIKES_DEAD = 3;
/** No count of ours gets anywhere near it; more is damage. */
const MOST_STRIKES = 100;
/** Ends that are remembered: those that a record's strikes can stand for, and one more. */
const MOST_ENDS = 4;
/** The text must leave room for signal and skip map. */
const LONGEST = 1_500;
const FORM = /^a([0-9a-z]{1,11})\.((?:[0-9a-z]{1,32}@[0-9a-z]{1,11}\+?){0,4})\.([A-Za-z0-9_-]*)$/;

/**
 * What the next owner has to know, from what the last one left.
 * @param left  undefined: no suspicion until now
 * @param end   the last owner's unclean end; undefined when it left in order, or was this member itself
 * @param self  this member's name as a writer
 * @param from  where delivery begins
 * @param reach how far work can have got beyond it when nothing was written down: an offset
 * @param logEnd nothing was in flight from here on, whatever the text says
 */
export function takeOver(
  left: Suspicion | undefined,
  {
    end,
    self,
    from,
    reach,
    logEnd,
  }: { end: End | undefined; self: string; from: number; reach: number; logEnd: number },
): Suspicion | undefined {
  if (left === undefined) {
    const until = Math.min(reach, logEnd);
    return end === undefined || until <= from ? undefined : { until, ends: [end], suspects: [] };
  }
  const known = left.ends.filter(({ writer }) => writer !== self);
  const forgiven = left.ends.length - known.length;
  const suspects = left.suspects
    .filter(({ offset }) => offset >= from && offset < logEnd)
    .map(({ offset, strikes, inFlight }) => ({
      offset,
      strikes: Math.max(0, strikes - forgiven) + (inFlight && end !== undefined ? 1 : 0),
      inFlight: false,
    }))
    .filter(({ strikes }) => strikes > 0);
  // The one strike of those that are not listed is of the first end, which may be the one that was none.
  const until = forgiven > 0 && known.length === 0 ? 0 : Math.min(left.until, logEnd);
  const beyond = Math.max(until, (suspects.at(-1)?.offset ?? -1) + 1);
  if (beyond <= from) return undefined;
  return { until: beyond, ends: end === undefined ? known : [...known, end].slice(-MOST_ENDS), suspects };
}

/** @param offset  the committed offset that the text stands beside. What does not fit is left out: its strikes are forgotten. */
export function encodeSuspicion(suspicion: Suspicion, offset: number): string {
  const ends = suspicion.ends
    .slice(-MOST_ENDS)
    .map(
      ({ writer, at }) =>
        `${/^[0-9a-z]{1,32}$/.test(writer) ? writer : '0'}@${Math.max(0, Math.round(at)).toString(36)}`,
    );
  const head = `a${Math.max(0, suspicion.until - offset).toString(36)}.${ends.join('+')}.`;
  const most = Math.floor(((LONGEST - head.length) * 3) / 4);
  const bytes: number[] = [];
  let at = offset;
  for (const { from, to, mark } of runsOf(suspicion.suspects)) {
    if (from < at) continue;
    const before = bytes.length;
    writeVarint(bytes, from - at);
    writeVarint(bytes, to - from);
    writeVarint(bytes, mark);
    if (bytes.length > most) {
      bytes.length = before;
      break;
    }
    at = to;
  }
  return head + Buffer.from(bytes).toString('base64url');
}

/** @returns undefined when the text is not of a known form */
export function decodeSuspicion(text: string, offset: number): Suspicion | undefined {
  const found = FORM.exec(text);
  if (found === null) return undefined;
  const until = offset + Number.parseInt(found[1]!, 36);
  if (!Number.isSafeInteger(until)) return undefined;
  const ends = found[2]!
    .split('+')
    .filter((each) => each !== '')
    .map((each): End => {
      const [writer, at] = each.split('@');
      return { writer: writer!, at: Number.parseInt(at!, 36) };
    });
  const numbers = readVarints(Buffer.from(found[3]!, 'base64url'));
  if (numbers === undefined || numbers.length % 3 !== 0) return undefined;
  const suspects: Suspect[] = [];
  let at = offset;
  for (let place = 0; place < numbers.length; place += 3) {
    const from = at + numbers[place]!;
    const length = numbers[place + 1]!;
    const mark = numbers[place + 2]!;
    if (length < 1 || suspects.length + length > MOST_SUSPECTS || !Number.isSafeInteger(from + length))
      return undefined;
    if (mark > 2 * MOST_STRIKES + 1) return undefined;
    for (let one = from; one < from + length; one++)
      suspects.push({ offset: one, strikes: mark >> 1, inFlight: (mark & 1) === 1 });
    at = from + length;
  }
  return { until, ends, suspects };
}

/** More cannot have been in flight at once; a longer list is damage. */
const MOST_SUSPECTS = 100_000;

/** Neighbours with the same mark, as one. */
function* runsOf(suspects: readonly Suspect[]): Generator<{ from: number; to: number; mark: number }> {
  let run: { from: number; to: number; mark: number } | undefined;
  for (const { offset, strikes, inFlight } of suspects) {
    const mark = strikes * 2 + (inFlight ? 1 : 0);
    if (run !== undefined && run.to === offset && run.mark === mark) {
      run.to++;
      continue;
    }
    if (run !== undefined) yield run;
    run = { from: offset, to: offset + 1, mark };
  }
  if (run !== undefined) yield run;
}
