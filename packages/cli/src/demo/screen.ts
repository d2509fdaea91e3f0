/**
 * Draws frames on a terminal without flicker: on the alternate screen, each frame in one write, each line over the old
 * one and cleared behind its end, between the marks of a synchronised update (terminals that do not know them ignore
 * them). A resize clears once. `close` gives the terminal back as it was, also early and twice.
 */
import type { WriteStream } from 'node:tty';

const OPEN = '\u001b[?1049h\u001b[?25l\u001b[2J';
const CLOSE = '\u001b[?25h\u001b[?1049l';

export class Screen {
  readonly #out: WriteStream;
  readonly #resized = () => {
    this.#clear = true;
  };
  #open = false;
  #clear = false;

  constructor(out: WriteStream) {
    this.#out = out;
  }

  open(): void {
    if (this.#open) return;
    this.#open = true;
    this.#out.write(OPEN);
    this.#out.on('resize', this.#resized);
  }

  get size(): { columns: number; rows: number } {
    return { columns: this.#out.columns || 80, rows: this.#out.rows || 24 };
  }

  draw(lines: readonly string[]): void {
    if (!this.#open) return;
    // The last column stays free: writing there makes some terminals wrap.
    const body = lines.map((line) => `${line}\u001b[K`).join('\r\n');
    const clear = this.#clear ? '\u001b[2J' : '';
    this.#clear = false;
    this.#out.write(`\u001b[?2026h${clear}\u001b[H${body}\u001b[J\u001b[?2026l`);
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#out.off('resize', this.#resized);
    this.#out.write(CLOSE);
  }
}
