/** Parsers of option values: each says what was given and what is allowed. */
import { UsageError } from './errors.ts';

/** For commander: a whole number within bounds. */
export function wholeNumber(name: string, least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < least || value > most)
      throw new UsageError(`${name} must be a whole number from ${least} to ${most}, not ${JSON.stringify(text)}`);
    return value;
  };
}

export function positiveNumber(name: string): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isFinite(value) || value <= 0)
      throw new UsageError(`${name} must be a number above 0, not ${JSON.stringify(text)}`);
    return value;
  };
}

/** host:port, separated by commas. */
export function brokerList(text: string): string {
  const brokers = text.split(',').map((part) => part.trim());
  const wrong = brokers.find((broker) => !/^.+:\d{1,5}$/.test(broker));
  if (wrong !== undefined)
    throw new UsageError(`--brokers must be a list of host:port, separated by commas, not ${JSON.stringify(text)}`);
  return brokers.join(',');
}
