/** Where the demo shows itself: a live picture on a terminal, plain lines anywhere else. */
import type { WriteStream } from 'node:tty';
import { Screen } from './screen.ts';
import { type DemoState, renderFrame, renderLine } from './view.ts';

export interface Stage {
  /** One line, before the show and in plain output. */
  say(text: string): void;
  /** How often `show` is worth calling, ms. */
  readonly intervalMs: number;
  show(state: DemoState): void;
  /** Ends the show and says the last words. Safe twice. */
  close(words: readonly string[]): void;
}

export function terminalStage(out: WriteStream, colour: boolean): Stage {
  const screen = new Screen(out);
  // However this process ends, the terminal is given back.
  process.once('exit', () => screen.close());
  let last: DemoState | undefined;
  /** What stays on the screen: the end of the work, not the empty stage after it. */
  let lasting: DemoState | undefined;
  return {
    intervalMs: 250,
    say: (text) => {
      if (last === undefined) out.write(`${text}\n`);
    },
    show: (state) => {
      last = state;
      if (state.phase !== 'stopping' && state.phase !== 'verifying') lasting = state;
      screen.open();
      screen.draw(renderFrame(state, { ...screen.size, colour }));
    },
    close: (words) => {
      screen.close();
      if (lasting) for (const line of renderFrame(lasting, { ...screen.size, colour })) out.write(`${line}\n`);
      lasting = undefined;
      for (const line of words) out.write(`${line}\n`);
    },
  };
}

export function plainStage(write: (line: string) => void): Stage {
  return {
    intervalMs: 2_000,
    say: write,
    show: (state) => write(renderLine(state)),
    close: (words) => {
      for (const line of words) write(line);
    },
  };
}
