// What TypeScript makes of the library. tsc is the test: a line after @ts-expect-error must be wrong.
import { connect, types } from '../src/index.js';
import type { Accepted, Action, Bool, Dict, Event, Int, Json, List, Presence, Rejected, SetOf, Text } from '../src/index.js';

type Same<A, B> = (<X>() => X extends A ? 1 : 2) extends <X>() => X extends B ? 1 : 2 ? true : false;
declare function same<A, B>(proof: Same<A, B>): void;

interface Card { title: string; points: number }

const room = connect('ws://localhost');

// By the name of the type.
const score = room.topic('score', 'int');
same<typeof score.value, number | undefined>(true);
same<ReturnType<typeof score.add>, Action>(true);
// @ts-expect-error an int has no insert
score.insert(0, 'x');
// @ts-expect-error nor is a text an amount
score.add('1');
// @ts-expect-error there is no such type
room.topic('x', 'integer');
const text = room.topic('text', 'string');
text.insert(0, 'a');
text.edit([{ retain: 1 }, { insert: 'b' }, { delete: 1 }]);
// @ts-expect-error a component is one of three
text.edit([{ keep: 1 }]);
const anything = room.topic('any', 'generic');
same<typeof anything.value, Json | undefined>(true);
room.topic('flag', 'bool').set(true);

// By a type with what it holds.
const cards = room.topic('cards', types.list<Card>());
same<typeof cards.value, readonly Card[] | undefined>(true);
cards.push({ title: 'a', points: 1 });
cards.setItem(-1, { title: 'a', points: 1 });
// @ts-expect-error a card has points
cards.push({ title: 'a' });
// @ts-expect-error values are not changed in place
cards.value?.push({ title: 'a', points: 1 });
cards.on((value, change, meta) => {
  same<typeof value, readonly Card[]>(true);
  same<typeof meta.cause, 'local' | 'remote' | 'accepted' | 'rejected' | 'snapshot'>(true);
  void change?.type;
});
const tags = room.topic('tags', types.set<string>());
same<ReturnType<typeof tags.has>, boolean>(true);
// @ts-expect-error a number is no tag
tags.append(1);
const byName = room.topic('by name', types.dict<Card>());
byName.changeValue('a', { title: 'a', points: 1 });
same<typeof byName.value, Readonly<Record<string, Card>> | undefined>(true);
// @ts-expect-error values of a dict are not changed in place
byName.value!.a = { title: 'a', points: 1 };
const pings = room.topic('pings', types.event<{ at: number }>());
pings.emit({ at: 1 });
pings.on((args) => same<typeof args, { at: number }>(true));
// @ts-expect-error an event has nothing to set
pings.set({ at: 1 });

// By a schema.
const typed = connect<{ score: Int; cards: List<Card>; flag: Bool; text: Text; tags: SetOf<string>; all: Dict<number>; ping: Event<string>; who: Presence<{ x: number }> }>();
same<ReturnType<typeof typed.topic<'score', 'int'>>, typeof score>(true);
const typedCards = typed.topic('cards', 'list');
same<typeof typedCards.value, readonly Card[] | undefined>(true);
// @ts-expect-error the schema says list
typed.topic('cards', 'int');
// What the schema does not name is free.
typed.topic('other', 'int').add(1);
const who = typed.presence('who');
who.put({ x: 1 });
// @ts-expect-error an entry has an x
who.put({ y: 1 });
const cursors = room.presence<{ x: number }>('cursors');
same<typeof cursors.mine, { x: number } | undefined>(true);
same<typeof cursors.others, Readonly<Record<string, { x: number }>>>(true);

// Outcomes.
async function outcomes() {
  same<Awaited<ReturnType<typeof score.add>>, Accepted>(true);
  const { sequence } = await score.add(1);
  same<typeof sequence, number>(true);
  const value = await cards.loaded();
  same<typeof value, readonly Card[]>(true);
  for await (const update of cards.updates()) {
    same<typeof update.value, readonly Card[]>(true);
    same<typeof update.skipped, number | undefined>(true);
  }
  const total = await room.call<number>('math/sum', [1, 2], { timeoutMs: 1, onProgress: (data) => data });
  same<typeof total, number>(true);
}
void outcomes;
room.on('rejected', (rejected) => same<typeof rejected, Rejected>(true));
room.on('state', ({ state }) => same<typeof state, 'connecting' | 'online' | 'offline' | 'needs_auth' | 'closed'>(true));
// @ts-expect-error there is no such event
room.on('stat', () => {});

// Actions: the changes of each topic, and nothing else of it.
room.action('move', (tx) => {
  tx(cards).pop(0);
  tx(score).add(1);
  same<ReturnType<ReturnType<typeof tx<typeof score>>['add']>, void>(true);
  // @ts-expect-error changes of its own type only
  tx(score).push(1);
  // @ts-expect-error a transaction does not listen
  tx(score).on(() => {});
});

// Services.
room.provide('math/sum', (numbers: number[], call) => {
  same<typeof call.signal, AbortSignal>(true);
  call.progress({ done: 0.5 });
  return numbers.reduce((sum, one) => sum + one, 0);
}, { pick: 'round_robin', concurrency: 2 });
// @ts-expect-error there is no such way to pick
room.provide('x', () => 1, { pick: 'fastest' });
connect(undefined, { token: async ({ signal, reason }) => (signal.aborted ? null : reason) });
// @ts-expect-error a token is text
connect('', { token: () => 5 });
