/** For whoever tests what writes to a table: the table, and a say in when its appends happen. */
import type { Table } from '../table.ts';

type Append = Table['append'];

/** Appends are late, failing, or let through by calling `real`; all else is the table's own. */
export function appending(table: Table, append: (real: () => ReturnType<Append>) => ReturnType<Append>): Table {
  return new Proxy(table, {
    get(target, name: keyof Table) {
      if (name === 'append') return (...given: Parameters<Append>) => append(() => table.append(...given));
      const value = target[name];
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
