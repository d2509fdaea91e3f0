export { type Cancel, type Clock, systemClock } from './clock.ts';
export { type Duration, formatDuration, InvalidDurationError, isDuration, parseDuration } from './duration.ts';
export { describeError, ERRORS, type ErrorEntry, WeirError } from './errors.ts';
export { inTime, NoAnswerError, within } from './in-time.ts';
export { createLogger, type Logger, type LogLevel, silentLogger } from './logger.ts';
export { type Random, seededRandom, systemRandom } from './random.ts';
export { redactText, redactUrl } from './redact.ts';
