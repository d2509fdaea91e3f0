/** What the operator library throws. What concerns one dead letter of many is an outcome, not an error. */
import { type ErrorEntry, WeirError } from '@weir/core';

export const ERRORS = {
  WEIR_DEAD_LETTER_ID_INVALID: { fix: 'Take the id from the list: WORKER:TOPIC/PARTITION/OFFSET#REPLAYS.' },
  WEIR_DEAD_LETTER_UNKNOWN: {
    fix: 'List without filters. A letter appears in the table a few seconds after it reached its topic, if the dlq-handler runs.',
  },
  WEIR_DEAD_LETTER_GONE: {
    fix: 'Its bytes are no longer in Kafka (retention); the table still tells its story. Ask the producer to send the record again.',
  },
} as const satisfies Record<string, ErrorEntry>;

export class DeadLetterIdError extends WeirError {
  readonly id: string;
  constructor(id: string) {
    super('WEIR_DEAD_LETTER_ID_INVALID', `${JSON.stringify(id)} is no id of a dead letter`);
    this.id = id;
  }
}

export class DeadLetterUnknownError extends WeirError {
  readonly id: string;
  constructor(id: string) {
    super('WEIR_DEAD_LETTER_UNKNOWN', `there is no dead letter ${id} in the table`);
    this.id = id;
  }
}

export class DeadLetterGoneError extends WeirError {
  readonly id: string;
  constructor(id: string, where: string) {
    super('WEIR_DEAD_LETTER_GONE', `the bytes of dead letter ${id} are gone: ${where} is not in Kafka any more`);
    this.id = id;
  }
}
