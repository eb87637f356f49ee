// What the flows of both generated clients share: the steps report to it, and it ends the program if one goes wrong.
export const base = process.argv[2]!;

export function need<T>(value: T | undefined, step: string, error?: unknown): T {
  if (value === undefined) {
    console.error(`${step}: ${JSON.stringify(error)}`);
    process.exit(1);
  }
  return value;
}

export function hold(condition: boolean, step: string): void {
  if (!condition) {
    console.error(`${step}: not as expected`);
    process.exit(1);
  }
}
