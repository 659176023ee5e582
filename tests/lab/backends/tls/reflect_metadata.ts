/**
 * The three functions of the Reflect metadata proposal that `@peculiar/x509` calls by way of tsyringe.
 * It refuses to load without them, and does not bring them itself. Import this before it.
 *
 * It can go when `@peculiar/x509` no longer asks for a polyfill.
 */
interface Metadata {
  getMetadata(key: unknown, target: object): unknown;
  getOwnMetadata(key: unknown, target: object): unknown;
  defineMetadata(key: unknown, value: unknown, target: object): void;
}

const stored = new WeakMap<object, Map<unknown, unknown>>();

function getOwnMetadata(key: unknown, target: object): unknown {
  return stored.get(target)?.get(key);
}

const metadata: Metadata = {
  getOwnMetadata,
  getMetadata(key, target) {
    for (let owner: object | null = target; owner; owner = Object.getPrototypeOf(owner)) {
      const value = getOwnMetadata(key, owner);
      if (value !== undefined) return value;
    }
    return undefined;
  },
  defineMetadata(key, value, target) {
    const values = stored.get(target) ?? new Map();
    stored.set(target, values.set(key, value));
  },
};

if (!("getMetadata" in Reflect)) Object.assign(Reflect, metadata);
