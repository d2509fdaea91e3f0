/**
 * DeleteTopics: v0-6
 *
 * v4: flexible.  v5: error message.  v6: by topic id.
 *
 * Records and every group's offsets of the topic go at once.
 */
import { CODES } from '../wire/codes.ts';
import { array, arrayOf, int16, int32, nullableString, string, uuid } from '../wire/layout.ts';
import { defineApi } from './api.ts';

export const deleteTopics = defineApi({
  name: 'DeleteTopics',
  key: 20,
  versions: [0, 6],
  flexibleFrom: 4,
  gaps: [],
  request: {
    topics: array({ name: nullableString(), topicId: uuid() }, '6+'),
    topicNames: arrayOf(string(), '0-5'),
    timeoutMs: int32(),
  },
  response: {
    throttleTimeMs: int32('1+'),
    responses: array({
      name: nullableString('0+', { nullable: '6+' }),
      topicId: uuid('6+'),
      errorCode: int16(),
      errorMessage: nullableString('5+'),
    }),
  },
  handle(request, call) {
    const { cluster } = call;
    if (call.version < 6) {
      return {
        responses: request.topicNames.map((name) => ({
          name,
          errorCode: cluster.deleteTopic(name) ? CODES.NONE : CODES.UNKNOWN_TOPIC_OR_PARTITION,
        })),
      };
    }
    return {
      responses: request.topics.map(({ name, topicId }) => {
        const topic = name === null ? cluster.topicById(topicId) : cluster.topics.get(name);
        if (!topic) {
          const errorCode = name === null ? CODES.UNKNOWN_TOPIC_ID : CODES.UNKNOWN_TOPIC_OR_PARTITION;
          return { name, topicId, errorCode };
        }
        cluster.deleteTopic(topic.name);
        return { name: topic.name, topicId: topic.id, errorCode: CODES.NONE };
      }),
    };
  },
  refuse(request, errorCode) {
    const names = request.topicNames.map((name) => ({ name, errorCode }));
    return { responses: [...names, ...request.topics.map(({ name, topicId }) => ({ name, topicId, errorCode }))] };
  },
});
