/**
 * FindCoordinator: v0-4
 *
 * v1: key type (0 group, 1 transaction), error message.  v3: flexible.  v4: several keys.
 *
 * Not here: transaction coordinators, v5 and later (share groups).
 */
import { CODES } from '../wire/codes.ts';
import { array, arrayOf, int8, int16, int32, nullableString, string } from '../wire/layout.ts';
import { type Call, defineApi } from './api.ts';

const GROUP = 0;

export const findCoordinator = defineApi({
  name: 'FindCoordinator',
  key: 10,
  versions: [0, 4],
  flexibleFrom: 3,
  gaps: ['groups only, no transaction coordinators'],
  request: { key: string('0-3'), keyType: int8('1+'), coordinatorKeys: arrayOf(string(), '4+') },
  response: {
    throttleTimeMs: int32('1+'),
    errorCode: int16('0-3'),
    errorMessage: nullableString('1-3'),
    nodeId: int32('0-3'),
    host: string('0-3'),
    port: int32('0-3'),
    coordinators: array(
      {
        key: string(),
        nodeId: int32(),
        host: string(),
        port: int32(),
        errorCode: int16(),
        errorMessage: nullableString(),
      },
      '4+',
    ),
  },
  handle(request, call) {
    if (call.version < 4) return find(call, request.key, request.keyType);
    return { coordinators: request.coordinatorKeys.map((key) => ({ key, ...find(call, key, request.keyType) })) };
  },
  refuse(request, errorCode) {
    const nowhere = { errorCode, nodeId: -1, host: '', port: -1 };
    return { ...nowhere, coordinators: request.coordinatorKeys.map((key) => ({ key, ...nowhere })) };
  },
});

function find(call: Call, key: string, keyType: number) {
  const nowhere = { nodeId: -1, host: '', port: -1 };
  if (keyType !== GROUP) {
    return { ...nowhere, errorCode: CODES.INVALID_REQUEST, errorMessage: 'this broker has no transactions' };
  }
  const id = call.cluster.coordinatorOf(key);
  const node = call.cluster.nodes.find((each) => each.id === id);
  if (!node) return { ...nowhere, errorCode: CODES.COORDINATOR_NOT_AVAILABLE, errorMessage: null };
  return { errorCode: CODES.NONE, errorMessage: null, nodeId: node.id, host: node.host, port: node.port };
}
