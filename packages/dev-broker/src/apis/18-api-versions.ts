/**
 * ApiVersions: v0-4
 *
 * v3: flexible, software name and version; the response's header stays the old one, so that a client which asked for
 * too much can read the refusal. An unknown version is answered in version 0 with UNSUPPORTED_VERSION and the list.
 * v4: as v3.
 *
 * Not here: features (none are finalized).
 */
import { CODES } from '../wire/codes.ts';
import { array, int16, int32, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';

export const API_VERSIONS_KEY = 18;
const LEGAL_SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/;

export const apiVersions = defineApi({
  name: 'ApiVersions',
  key: API_VERSIONS_KEY,
  versions: [0, 4],
  flexibleFrom: 3,
  gaps: ['no features'],
  request: { clientSoftwareName: string('3+'), clientSoftwareVersion: string('3+') },
  response: {
    errorCode: int16(),
    apiKeys: array({ apiKey: int16(), minVersion: int16(), maxVersion: int16() }),
    throttleTimeMs: int32('1+'),
  },
  handle(request, call) {
    const { clientSoftwareName: name, clientSoftwareVersion: version } = request;
    if (call.version >= 3 && !(LEGAL_SOFTWARE.test(name) && LEGAL_SOFTWARE.test(version))) {
      return { errorCode: CODES.INVALID_REQUEST, apiKeys: call.advertised };
    }
    return { errorCode: CODES.NONE, apiKeys: call.advertised };
  },
  refuse(_request, errorCode, call) {
    return { errorCode, apiKeys: call.advertised };
  },
});
