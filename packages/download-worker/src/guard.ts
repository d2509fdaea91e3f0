/**
 * Which URLs may be asked for at all. Attachment URLs come from outside: without these rules whoever writes events
 * could make the worker fetch the cluster's own services. The first URL and every redirect pass the same rules; what a
 * host name resolves to is checked later, at connect (connector.ts), because only there it cannot change any more.
 */
import { UrlRefusedError } from './errors.ts';

export interface GuardRules {
  /** Small letters: exact names, `*.suffix`, or `*`. */
  readonly domains: readonly string[];
  /** Digits, or `*`. */
  readonly ports: readonly string[];
  readonly allowHttp: boolean;
}

export class Guard {
  readonly #exact: ReadonlySet<string>;
  readonly #suffixes: readonly string[];
  readonly #anyHost: boolean;
  readonly #ports: ReadonlySet<string>;
  readonly #allowHttp: boolean;

  constructor(rules: GuardRules) {
    const domains = rules.domains.map((domain) => domain.toLowerCase());
    this.#anyHost = domains.includes('*');
    this.#suffixes = domains.filter((domain) => domain.startsWith('*.')).map((domain) => domain.slice(1));
    this.#exact = new Set(domains.filter((domain) => !domain.startsWith('*')));
    this.#ports = new Set(rules.ports);
    this.#allowHttp = rules.allowHttp;
  }

  /**
   * The URL as it may be requested: without fragment, its host without the root's trailing dot.
   * @throws UrlRefusedError naming the rule
   */
  check(candidate: string | URL): URL {
    const url = URL.parse(String(candidate));
    if (!url) throw new UrlRefusedError('syntax', 'the attachment’s URL cannot be read');
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && this.#allowHttp)) {
      throw new UrlRefusedError('scheme', `scheme ${url.protocol.slice(0, 40)} is not allowed, https: is`);
    }
    if (url.username !== '' || url.password !== '') {
      throw new UrlRefusedError('userinfo', `a URL with user name or password is not allowed (host ${url.hostname})`);
    }
    if (url.hostname.endsWith('.')) url.hostname = url.hostname.replace(/\.+$/, '');
    if (!this.#hostAllowed(url.hostname)) {
      throw new UrlRefusedError(
        'host',
        `host ${url.hostname.slice(0, 253)} is not allowed (ALLOWED_ATTACHMENT_DOMAINS)`,
      );
    }
    const port = url.port || (url.protocol === 'https:' ? '443' : '80');
    if (!this.#ports.has('*') && !this.#ports.has(port)) {
      throw new UrlRefusedError('port', `port ${port} of ${url.hostname} is not allowed (ALLOWED_PORTS)`);
    }
    url.hash = '';
    return url;
  }

  #hostAllowed(host: string): boolean {
    if (host === '') return false;
    return (
      this.#anyHost ||
      this.#exact.has(host) ||
      this.#suffixes.some((suffix) => host.endsWith(suffix) && host.length > suffix.length)
    );
  }
}
