// @ts-check
/**
 * A dict that is written in place while what was handed out of it stays as it was. A version costs
 * nothing to hand out: it reads the dict as long as nothing was written since, and is told by later
 * writes what they replaced. Only reading one that is out of date makes a copy.
 */

/** @typedef {Record<string, any>} Fields an object without a prototype: every key is data */

/** So many versions may follow on one that is kept before it gets a copy of its own, if the dict is small. */
const CHAIN = 64;

export class Versions {
  /** @type {Fields} */
  #fields;
  #size;
  /** @type {Version | undefined} The version that was handed out last. */
  #last;
  /** Versions that hang together. */
  #chain = 0;

  /** @param {Readonly<Fields>} fields copied */
  constructor(fields) {
    this.#fields = Object.assign(Object.create(null), fields);
    this.#size = Object.keys(this.#fields).length;
  }

  /** What is there now. It may be read at once and not kept. @returns {Readonly<Fields>} */
  get fields() {
    return this.#fields;
  }

  /** What is there now, to keep. @returns {Readonly<Fields>} */
  read() {
    const last = this.#last;
    if (last?.isPresent) return last.view(this.#fields);
    const version = new Version();
    // Without an end to it, whoever keeps one old version would keep every later one.
    if (last && ++this.#chain > Math.max(CHAIN, this.#size)) {
      last.rebuild(this.#fields);
      this.#chain = 0;
    } else {
      last?.precede(version);
    }
    this.#last = version;
    return version.view(this.#fields);
  }

  /** Writes a key; undefined takes it out. @param {string} key @param {any} value @returns {any} what was there */
  write(key, value) {
    const old = this.#fields[key];
    this.#last?.note(key, old);
    this.#size += (old === undefined ? 1 : 0) - (value === undefined ? 1 : 0);
    if (value === undefined) delete this.#fields[key];
    else this.#fields[key] = value;
    return old;
  }

  /** Writes everything anew. @param {Fields} fields kept @returns {Readonly<Fields>} what was there, which changes no more */
  replace(fields) {
    const old = this.#fields;
    this.#last?.precede(new Version(old));
    this.#last = undefined;
    this.#fields = fields;
    this.#size = Object.keys(fields).length;
    return old;
  }
}

/** One state of a dict. */
class Version {
  /** @type {Readonly<Fields> | undefined} The fields, once they are not those of the dict any more. */
  #own;
  /** @type {Map<string, any> | undefined} What the keys had that were written before the next version. */
  #replaced;
  /** @type {Version | undefined} */
  #next;
  /** @type {Readonly<Fields> | undefined} */
  #view;

  /** @param {Readonly<Fields>} [own] */
  constructor(own) {
    this.#own = own;
  }

  /** Whether nothing was written since. */
  get isPresent() {
    return !this.#own && !this.#replaced && !this.#next;
  }

  /** A key is written. @param {string} key @param {any} old what was there */
  note(key, old) {
    if (this.#own) return;
    this.#replaced ??= new Map();
    if (!this.#replaced.has(key)) this.#replaced.set(key, old);
  }

  /** @param {Version} next which the writes noted so far lead to */
  precede(next) {
    if (!this.#own) this.#next = next;
  }

  /** @param {Fields} present those of the dict, which this version has now @returns {Readonly<Fields>} */
  view(present) {
    const fields = () => this.#own ?? (this.isPresent ? present : this.rebuild(present));
    this.#view ??= new Proxy(present, {
      get: (_, key) => fields()[/** @type {string} */ (key)],
      has: (_, key) => key in fields(),
      ownKeys: () => Reflect.ownKeys(fields()),
      getOwnPropertyDescriptor: (_, key) => {
        const found = Reflect.getOwnPropertyDescriptor(fields(), key);
        return found && { ...found, writable: false };
      },
      set: () => false,
      defineProperty: () => false,
      deleteProperty: () => false,
      setPrototypeOf: () => false,
      preventExtensions: () => false,
    });
    return this.#view;
  }

  /** Makes a copy, and takes back in it what was written since. @param {Readonly<Fields>} present */
  rebuild(present) {
    if (this.#own) return this.#own;
    /** @type {Map<string, any>[]} */
    const steps = [];
    /** @type {Version} */
    let version = this;
    for (;;) {
      if (version.#own) break;
      if (version.#replaced) steps.push(version.#replaced);
      if (!version.#next) break;
      version = version.#next;
    }
    const fields = Object.assign(Object.create(null), version.#own ?? present);
    for (const replaced of steps.reverse()) {
      for (const [key, old] of replaced) {
        if (old === undefined) delete fields[key];
        else fields[key] = old;
      }
    }
    this.#own = fields;
    this.#replaced = undefined;
    this.#next = undefined;
    return fields;
  }
}
