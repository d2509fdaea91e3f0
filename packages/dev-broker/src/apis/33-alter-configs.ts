/**
 * AlterConfigs: v0-2
 *
 * v2: flexible.
 *
 * Replaces all settings of a topic with the given ones. Not here: settings of nodes.
 */
import { CODES } from '../wire/codes.ts';
import { array, bool, int8, int16, int32, nullableString, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';
import { changeTopicConfig } from './change-config.ts';

export const alterConfigs = defineApi({
  name: 'AlterConfigs',
  key: 33,
  versions: [0, 2],
  flexibleFrom: 2,
  gaps: ['topics only'],
  request: {
    resources: array({
      resourceType: int8(),
      resourceName: string(),
      configs: array({ name: string(), value: nullableString() }),
    }),
    validateOnly: bool(),
  },
  response: {
    throttleTimeMs: int32(),
    responses: array({
      errorCode: int16(),
      errorMessage: nullableString(),
      resourceType: int8(),
      resourceName: string(),
    }),
  },
  handle(request, call) {
    return {
      responses: request.resources.map(({ resourceType, resourceName, configs }) => ({
        resourceType,
        resourceName,
        ...changeTopicConfig(call.cluster, resourceType, resourceName, request.validateOnly, () => {
          const absent = configs.find(({ value }) => value === null);
          if (absent) return { errorCode: CODES.INVALID_CONFIG, errorMessage: `${absent.name} has no value` };
          return new Map(configs.map(({ name, value }) => [name, value ?? '']));
        }),
      })),
    };
  },
  refuse(request, errorCode) {
    return {
      responses: request.resources.map(({ resourceType, resourceName }) => ({ errorCode, resourceType, resourceName })),
    };
  },
});
