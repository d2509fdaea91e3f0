/**
 * A source file as the architecture tests see it: its code with comments, strings and regular expressions blanked out
 * (same length, same lines, so positions stay true), what it imports, and what its strings and comments say.
 *
 * A scanner of our own rather than a parser: the rules only ask for words in code and for the names of modules, and
 * TypeScript's own syntax API is not stable yet.
 */
import { readFileSync } from 'node:fs';

export interface ImportedModule {
  /** As written: `./ledger.ts`, `@weir/core`, `node:fs`. */
  readonly specifier: string;
  /** `import type`, `export type … from` or `import('…')` in a type: gone after type stripping. */
  readonly typeOnly: boolean;
  readonly line: number;
}

export interface SourceText {
  readonly text: string;
  /** Blanked where it is comment, string, template text or regular expression. */
  readonly code: string;
  readonly imports: readonly ImportedModule[];
  readonly strings: readonly { readonly value: string; readonly start: number }[];
  readonly comments: readonly { readonly value: string; readonly start: number }[];
}

export function lineAt(text: string, position: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < position; at = text.indexOf('\n', at + 1)) line++;
  return line;
}

/** After one of these a slash begins a regular expression, not a division. */
const BEFORE_REGEX =
  /(?:^|[([{,;=:!&|?+\-*%~^<>}]|\b(?:return|typeof|case|in|of|delete|void|do|else|await|yield|throw))\s*$/;

export function scan(text: string): SourceText {
  const code = text.split('');
  const strings: { value: string; start: number }[] = [];
  const comments: { value: string; start: number }[] = [];
  const blank = (from: number, to: number) => {
    for (let at = from; at < to; at++) if (code[at] !== '\n') code[at] = ' ';
  };
  /** Open template literals: how many braces are open inside the innermost `${`. */
  const templates: number[] = [];
  let at = 0;

  const template = (from: number) => {
    let end = from;
    while (end < text.length && text[end] !== '`' && !(text[end] === '$' && text[end + 1] === '{'))
      end += text[end] === '\\' ? 2 : 1;
    strings.push({ value: text.slice(from, end), start: from - 1 });
    blank(from, Math.min(end, text.length));
    if (text[end] === '$') {
      templates.push(0);
      return end + 2;
    }
    return end + 1;
  };

  while (at < text.length) {
    const char = text[at]!;
    const next = text[at + 1];
    if (char === '/' && next === '/') {
      const newline = text.indexOf('\n', at);
      const end = newline < 0 ? text.length : newline;
      comments.push({ value: text.slice(at, end), start: at });
      blank(at, end);
      at = end;
    } else if (char === '/' && next === '*') {
      const close = text.indexOf('*/', at + 2);
      const end = close < 0 ? text.length : close + 2;
      comments.push({ value: text.slice(at, end), start: at });
      blank(at, end);
      at = end;
    } else if (char === "'" || char === '"') {
      let end = at + 1;
      while (end < text.length && text[end] !== char && text[end] !== '\n') end += text[end] === '\\' ? 2 : 1;
      strings.push({ value: text.slice(at + 1, end), start: at });
      blank(at + 1, end);
      at = end + 1;
    } else if (char === '`') {
      at = template(at + 1);
    } else if (char === '{' && templates.length > 0) {
      templates[templates.length - 1]!++;
      at++;
    } else if (char === '}' && templates.length > 0) {
      if (templates.at(-1) === 0) {
        templates.pop();
        at = template(at + 1);
      } else {
        templates[templates.length - 1]!--;
        at++;
      }
    } else if (char === '/' && BEFORE_REGEX.test(code.slice(Math.max(0, at - 40), at).join(''))) {
      let end = at + 1;
      let inClass = false;
      while (end < text.length && text[end] !== '\n' && (inClass || text[end] !== '/')) {
        if (text[end] === '[') inClass = true;
        if (text[end] === ']') inClass = false;
        end += text[end] === '\\' ? 2 : 1;
      }
      blank(at + 1, end);
      at = end + 1;
    } else {
      at++;
    }
  }

  const masked = code.join('');
  return { text, code: masked, imports: importsOf(text, masked, strings), strings, comments };
}

const IMPORTS = [
  /\b(?:import|export)\s+(type\b)?[^'"`;]*?\bfrom\s*(?=['"])/g,
  /\bimport\s*(?=['"])/g,
  /(?:\b(type)\b[^;=]*=|(:|<|\|)\s*)?\bimport\(\s*(?=['"])/g,
];

function importsOf(text: string, code: string, strings: SourceText['strings']): ImportedModule[] {
  const byStart = new Map(strings.map((each) => [each.start, each.value]));
  const found: ImportedModule[] = [];
  for (const pattern of IMPORTS)
    for (const match of code.matchAll(pattern)) {
      const specifier = byStart.get(match.index + match[0].length);
      if (specifier === undefined) continue;
      const named = /\{([^}]*)\}\s*from\s*$/.exec(match[0]);
      const allTypes =
        named !== null &&
        /^\s*(?:import|export)\s*\{/.test(match[0]) &&
        named[1]!
          .split(',')
          .filter((each) => each.trim() !== '')
          .every((each) => /^\s*type\s/.test(each));
      found.push({
        specifier,
        typeOnly: match[1] !== undefined || match[2] !== undefined || allTypes,
        line: lineAt(text, match.index),
      });
    }
  return found;
}

const scanned = new Map<string, SourceText>();

/** Each file is read once for all tests of a run. */
export function readSource(path: string): SourceText {
  let source = scanned.get(path);
  if (!source) {
    source = scan(readFileSync(path, 'utf8'));
    scanned.set(path, source);
  }
  return source;
}
