// @ts-check
/** The types of topics as values and as TypeScript types. */

/** @typedef {import('./change.js').TopicType} TopicType */
/** @typedef {import('./value.js').Json} Json */

/**
 * The type of a topic, and of what it holds.
 * @template {TopicType} K
 * @template T
 * @typedef {{ readonly type: K, readonly holds?: T }} Type
 */
/** @typedef {Type<TopicType, any>} AnyType */

/** @template [T=Json] @typedef {Type<'generic', T>} Generic */
/** @typedef {Type<'string', string>} Text */
/** @typedef {Type<'int', number>} Int */
/** @typedef {Type<'float', number>} Float */
/** @typedef {Type<'bool', boolean>} Bool */
/** @template [T=Json] @typedef {Type<'list', T>} List */
/** @template [T=Json] @typedef {Type<'set', T>} SetOf */
/** @template [T=Json] @typedef {Type<'dict', T>} Dict */
/** @template [T=Json] @typedef {Type<'event', T>} Event */
/** @template [T=Json] @typedef {Type<'presence', T>} Presence */

/**
 * The handle to a topic of a type.
 * @template {AnyType} D
 * @typedef {D extends Type<infer K, infer T> ? {
 *   generic: import('./kinds.js').GenericTopic<T>,
 *   string: import('./kinds.js').StringTopic,
 *   int: import('./kinds.js').IntTopic,
 *   float: import('./kinds.js').FloatTopic,
 *   bool: import('./kinds.js').BoolTopic,
 *   list: import('./kinds.js').ListTopic<T>,
 *   set: import('./kinds.js').SetTopic<T>,
 *   dict: import('./kinds.js').DictTopic<T>,
 *   event: import('./kinds.js').EventTopic<T>,
 *   presence: import('./presence.js').PresenceTopic<T>,
 * }[K] : never} Handle
 */
/**
 * A schema that says nothing, as plain JavaScript has it, is none.
 * @template S
 * @typedef {0 extends 1 & S ? {} : S} Known
 */
/**
 * What `room.topic(name, type)` takes as the type of the topic N, under the schema S.
 * @template S
 * @template N
 * @typedef {N extends keyof S ? S[N] extends AnyType ? S[N] | S[N]['type'] : never : TopicType | AnyType} TypeFor
 */
/**
 * The handle that `room.topic(name, type)` gives for the topic N, under the schema S.
 * @template S
 * @template N
 * @template D
 * @typedef {N extends keyof S ? S[N] extends AnyType ? Handle<S[N]> : never
 *   : D extends TopicType ? Handle<Type<D, Json>> : D extends AnyType ? Handle<D> : never} HandleFor
 */
/**
 * The changes of a handle, as a transaction records them.
 * @template H
 * @typedef {{ [M in keyof H as H[M] extends (...given: any) => import('./action.js').Action ? M : never]:
 *   H[M] extends (...given: infer A) => import('./action.js').Action ? (...given: A) => void : never }} ChangesOf
 */

/** @template {TopicType} K @param {K} type @returns {Type<K, any>} */
const type = (type) => Object.freeze({ type });

/**
 * The types of topics. Those that hold anything take what it is as a type argument:
 * `types.list<Card>()`.
 */
export const types = Object.freeze({
  /** @template [T=Json] @returns {Generic<T>} any value */
  generic: () => type('generic'),
  /** @returns {Text} */
  string: () => type('string'),
  /** @returns {Int} a whole number */
  int: () => type('int'),
  /** @returns {Float} a number */
  float: () => type('float'),
  /** @returns {Bool} true or false */
  bool: () => type('bool'),
  /** @template [T=Json] @returns {List<T>} items in an order */
  list: () => type('list'),
  /** @template [T=Json] @returns {SetOf<T>} items without order */
  set: () => type('set'),
  /** @template [T=Json] @returns {Dict<T>} values by key */
  dict: () => type('dict'),
  /** @template [T=Json] @returns {Event<T>} things that happen */
  event: () => type('event'),
  /** @template [T=Json] @returns {Presence<T>} an entry per client */
  presence: () => type('presence'),
});
