/** The README's tables, made from the declarations; a test fails when the README is stale. */
import { APIS } from './apis/registry.ts';
import { ERRORS } from './errors.ts';
import { TOPIC_CONFIGS } from './topic-config.ts';

/** Every API with its versions and what is missing in them. */
export function apiTable(): string {
  const rows = APIS.map(({ key, name, versions: [first, last], flexibleFrom, gaps }) => {
    const flexible = flexibleFrom === undefined || flexibleFrom > last ? '' : `v${flexibleFrom}+`;
    return `| ${key} | ${name} | v${first}-${last} | ${flexible} | ${gaps.join('; ')} |`;
  });
  return ['| key | API | versions | flexible | not there |', '| ---: | --- | --- | --- | --- |', ...rows].join('\n');
}

/** Topic settings by what they do here. */
export function configLists(): string {
  const names = Object.entries(TOPIC_CONFIGS);
  const enforced = names.filter(([, entry]) => entry.enforced).map(([name]) => `\`${name}\``);
  const kept = names.filter(([, entry]) => !entry.enforced).map(([name]) => `\`${name}\``);
  return `Enforced: ${enforced.join(', ')}.\n\nKept and given back, without effect: ${kept.join(', ')}.`;
}

export function errorTable(): string {
  const rows = Object.entries(ERRORS).map(([code, { fix }]) => `| \`${code}\` | ${fix} |`);
  return ['| code | what to do |', '| --- | --- |', ...rows].join('\n');
}

/** The sections of the README that are generated, by the name in their markers. */
export const SECTIONS: Readonly<Record<string, () => string>> = {
  apis: apiTable,
  configs: configLists,
  errors: errorTable,
};

/** Puts fresh tables between the markers of a README. */
export function refresh(readme: string): string {
  let fresh = readme;
  for (const [name, make] of Object.entries(SECTIONS)) {
    const [begin, end] = [`<!-- generated: ${name} -->`, `<!-- end: ${name} -->`];
    const from = fresh.indexOf(begin);
    const to = fresh.indexOf(end);
    if (from < 0 || to < from) throw new Error(`the README has no section ${name}: put ${begin} and ${end} into it`);
    fresh = `${fresh.slice(0, from + begin.length)}\n${make()}\n${fresh.slice(to)}`;
  }
  return fresh;
}
