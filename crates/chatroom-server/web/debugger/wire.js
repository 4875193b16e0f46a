// @ts-check
// What the server says on the debugger's socket, as types; nothing here runs.

/** @typedef {string | number | boolean | null | JsonList | JsonObject} Json */
/** @typedef {Json[]} JsonList */
/** @typedef {{ [key: string]: Json }} JsonObject */

/** @typedef {{ name: string, clients: number, topics: number, services: number, sequence: number }} Room */

/**
 * @typedef {object} Topic
 * @property {string} name
 * @property {string} type
 * @property {number} subscribers
 * @property {number} bytes
 * @property {number} sequence
 * @property {number} commits since the server began
 * @property {string} preview JSON, at most 120 characters of it
 * @property {number} changed_ms
 * @property {boolean} authority
 */

/** @typedef {{ client: number, in_flight: number, concurrency: number, calls: number, errors: number }} Provider */
/** @typedef {{ call: number, caller: number, provider: number | null, since_ms: number }} Call */

/**
 * @typedef {object} Service
 * @property {string} name
 * @property {string} pick
 * @property {Provider[]} providers
 * @property {number} waiting
 * @property {number} calls
 * @property {number} errors
 * @property {number | null} p50_ms
 * @property {number | null} p99_ms
 * @property {Call[]} in_flight
 */

/** @typedef {'disconnect' | 'drop' | 'freeze' | 'delay'} FaultKind */

/**
 * @typedef {object} Client
 * @property {number} id
 * @property {string} address
 * @property {string} dialect
 * @property {string} [name]
 * @property {string} [version]
 * @property {number} since_ms
 * @property {number} subscriptions
 * @property {string[]} topics
 * @property {string[]} services
 * @property {number} calls
 * @property {number} queue_bytes
 * @property {number} stale_topics
 * @property {number} received
 * @property {number} sent
 * @property {number} sent_bytes
 * @property {{ kind: string, ms?: number, until_ms?: number } | null} [fault] `ms` is what is left of a freeze, and the length of a delay
 */

/**
 * @typedef {object} Sample
 * @property {number} t_ms
 * @property {number} commits
 * @property {number} rejects
 * @property {number} calls
 * @property {number} call_errors
 * @property {number} received
 * @property {number} deliveries
 * @property {number | null} commit_p50_ms
 * @property {number | null} commit_p99_ms
 * @property {number | null} call_p50_ms
 * @property {number | null} call_p99_ms
 * @property {number} queue_bytes
 * @property {number} clients
 * @property {number} topics
 * @property {number | null} memory_bytes
 */

/** @typedef {'commit' | 'reject' | 'call' | 'service' | 'client' | 'message' | 'status' | 'fault'} Kind */
/** A long one is `{cut: true, preview}`. @typedef {JsonObject & { type: string }} Change */
/** @typedef {{ topic_name: string, type?: string, change: Change, previous?: number }} Part */

/**
 * One line of the log. Which fields there are depends on `kind`; `key` is the page's own.
 * @typedef {object} Entry
 * @property {number} key
 * @property {number} n
 * @property {number} t_ms
 * @property {Kind} kind
 * @property {number} [sequence]
 * @property {number} [by]
 * @property {string | number} [action_id]
 * @property {string | number} [id]
 * @property {Part[]} [changes]
 * @property {string} [topic_name]
 * @property {Change} [change]
 * @property {number} [validated_by]
 * @property {number} [took_ms]
 * @property {number[]} [received_by]
 * @property {number} [received_count]
 * @property {number} [code]
 * @property {string} [name]
 * @property {string} [reason]
 * @property {string} [service_name]
 * @property {number} [call]
 * @property {number} [caller]
 * @property {number | null} [provider]
 * @property {boolean} [ok]
 * @property {Json} [args] a long one is `{cut: true, preview}`
 * @property {Json} [response]
 * @property {boolean} [maybe_executed]
 * @property {number} [client]
 * @property {string} [what]
 * @property {string} [address]
 * @property {string} [text]
 * @property {string} [kind_of_fault]
 * @property {number} [ms]
 */

/** @typedef {{ entries: number, topics: number }} Limits */
/** @typedef {{ type: 'hello', version: string, started_ms: number, address: string, rooms: Room[], limits: Limits }} HelloMessage */
/** @typedef {{ type: 'rooms', rooms: Room[], now_ms: number }} RoomsMessage */

/**
 * @typedef {object} RoomMessage
 * @property {'room'} type
 * @property {string} room
 * @property {string | number} epoch
 * @property {number} now_ms
 * @property {number} sequence
 * @property {Topic[]} topics
 * @property {number} topics_total
 * @property {Service[]} services
 * @property {Client[]} clients
 * @property {number} clients_total
 * @property {Entry[]} entries
 * @property {Sample[]} series
 */

/**
 * @typedef {object} BatchMessage
 * @property {'batch'} type
 * @property {string} room
 * @property {number} now_ms
 * @property {number} sequence
 * @property {Entry[]} [entries]
 * @property {number} [skipped]
 * @property {Topic[]} [topics]
 * @property {string[]} [topics_gone]
 * @property {Service[]} [services]
 * @property {string[]} [services_gone]
 * @property {Client[]} [clients]
 * @property {number[]} [clients_gone]
 * @property {Sample[]} [samples]
 */

/**
 * @typedef {object} TopicMessage
 * @property {'topic'} type
 * @property {string} topic_name
 * @property {Topic | null} topic
 * @property {Json} [value]
 * @property {number[]} [subscribers]
 * @property {number[]} [authorities]
 * @property {Entry[]} [entries]
 */

/** @typedef {{ code: number, name: string, reason: string }} Refusal */
/** @typedef {{ type: 'result', id: number | null, ok: boolean, value?: Json, sequence?: number, took_ms?: number, error?: Refusal }} ResultMessage */
/** @typedef {{ type: 'refused' | 'goodbye', reason: string }} EndMessage */
/** @typedef {HelloMessage | RoomsMessage | RoomMessage | BatchMessage | TopicMessage | ResultMessage | EndMessage} Message */

export {};
