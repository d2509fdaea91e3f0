/**
 * IncrementalAlterConfigs: v0-1
 *
 * v1: flexible.
 *
 * Sets, removes, and adds to or takes from lists. Not here: settings of nodes.
 */

import { TOPIC_CONFIGS } from '../topic-config.ts';
import { CODES } from '../wire/codes.ts';
import { array, bool, int8, int16, int32, nullableString, string } from '../wire/layout.ts';
import { defineApi } from './api.ts';
import { type ChangeProblem, changeTopicConfig } from './change-config.ts';

const SET = 0;
const DELETE = 1;
const APPEND = 2;
const SUBTRACT = 3;

interface Operation {
  readonly name: string;
  readonly configOperation: number;
  readonly value: string | null;
}

export const incrementalAlterConfigs = defineApi({
  name: 'IncrementalAlterConfigs',
  key: 44,
  versions: [0, 1],
  flexibleFrom: 1,
  gaps: ['topics only'],
  request: {
    resources: array({
      resourceType: int8(),
      resourceName: string(),
      configs: array({ name: string(), configOperation: int8(), value: nullableString() }),
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
        ...changeTopicConfig(call.cluster, resourceType, resourceName, request.validateOnly, (has) =>
          apply(has, configs),
        ),
      })),
    };
  },
  refuse(request, errorCode) {
    return {
      responses: request.resources.map(({ resourceType, resourceName }) => ({ errorCode, resourceType, resourceName })),
    };
  },
});

function apply(
  has: ReadonlyMap<string, string>,
  operations: readonly Operation[],
): ReadonlyMap<string, string> | ChangeProblem {
  const next = new Map(has);
  for (const { name, configOperation, value } of operations) {
    if (configOperation === DELETE) {
      next.delete(name);
      continue;
    }
    if (value === null) return { errorCode: CODES.INVALID_CONFIG, errorMessage: `${name} has no value` };
    if (configOperation === SET) {
      next.set(name, value);
      continue;
    }
    const entry = Object.hasOwn(TOPIC_CONFIGS, name) ? TOPIC_CONFIGS[name] : undefined;
    if (entry?.type !== 'list' || (configOperation !== APPEND && configOperation !== SUBTRACT)) {
      return { errorCode: CODES.INVALID_CONFIG, errorMessage: `${name} is no list, or the operation is unknown` };
    }
    const list = (next.get(name) ?? entry.fallback).split(',').filter(Boolean);
    const given = value.split(',').filter(Boolean);
    const changed =
      configOperation === APPEND
        ? [...list, ...given.filter((each) => !list.includes(each))]
        : list.filter((each) => !given.includes(each));
    next.set(name, changed.join(','));
  }
  return next;
}
