/**
 * Secrets stay out of logs, headers, metrics and tables. A URL loses its user info, query string and fragment (that is
 * where signatures and tokens live); free text loses every URL's, and what looks like `password=…` or a bearer token.
 */
const URL_IN_TEXT = /\b(?:https?|s3|ftp|wss?|amqps?|redis|postgres(?:ql)?):\/\/[^\s"'<>\\^`{|}]+/gi;
const SECRET_PAIR =
  /\b(pass(?:word|wd)?|secret|token|api[-_]?key|access[-_]?key(?:[-_]?id)?|signature|credential|sasl[-_]?password|x-amz-[a-z-]+)(["']?\s*[=:]\s*["']?)([^\s"'&,;}]+)/gi;
const BEARER = /\b(bearer|basic)\s+[a-z0-9._~+/=-]{8,}/gi;

/** The URL without what may be secret; a query that was there shows as `?[redacted]`. */
export function redactUrl(url: string): string {
  const cut = url.search(/[?#]/);
  const bare = cut < 0 ? url : url.slice(0, cut);
  const safe = bare.replace(/^([a-z][a-z0-9+.-]*:\/\/)[^/@\s]*@/i, '$1');
  return cut < 0 ? safe : `${safe}?[redacted]`;
}

/** Free text (an error's message, say) without secrets. */
export function redactText(text: string): string {
  return text.replace(URL_IN_TEXT, redactUrl).replace(BEARER, '$1 [redacted]').replace(SECRET_PAIR, '$1$2[redacted]');
}
