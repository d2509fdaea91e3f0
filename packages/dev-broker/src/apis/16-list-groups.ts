/**
 * ListGroups: v0-5
 *
 * v3: flexible.  v4: states, and a filter by them.  v5: types, and a filter by them (all groups are classic).
 *
 * Each node lists the groups it coordinates.
 */
import { CODES } from '../wire/codes.ts';
import { array, arrayOf, int16, int32, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';

const TYPE = 'classic';

export const listGroups = defineApi({
  name: 'ListGroups',
  key: 16,
  versions: [0, 5],
  flexibleFrom: 3,
  gaps: [],
  request: { statesFilter: arrayOf(string(), '4+'), typesFilter: arrayOf(string(), '5+') },
  response: {
    throttleTimeMs: int32('1+'),
    errorCode: int16(),
    groups: array({
      groupId: string(),
      protocolType: string(),
      groupState: string('4+'),
      groupType: string('5+'),
    }),
  },
  handle(request, call) {
    const wanted = (filter: string[], value: string) =>
      filter.length === 0 || filter.some((each) => each.toLowerCase() === value.toLowerCase());
    return {
      errorCode: CODES.NONE,
      groups: [...call.cluster.groups.values()]
        .filter((group) => call.cluster.coordinatorOf(group.id) === call.node)
        .filter((group) => wanted(request.statesFilter, group.state) && wanted(request.typesFilter, TYPE))
        .map((group) => ({
          groupId: group.id,
          protocolType: group.protocolType ?? '',
          groupState: group.state,
          groupType: TYPE,
        })),
    };
  },
  refuse(_request, errorCode) {
    return { errorCode };
  },
});
