// A mail program made with imapflow: it fetches all, loses its connection, others change
// the mailbox, and it catches up by QRESYNC; then it does what programs do.
'use strict';
const assert = require('assert');
const fs = require('fs');
const { ImapFlow } = require('imapflow');
const [host, port, ca, user, pass] = process.argv.slice(2);

async function connect(options) {
  const c = new ImapFlow({
    host, port: Number(port), secure: true, auth: { user, pass }, logger: false, qresync: true,
    tls: { ca: fs.readFileSync(ca), servername: 'localhost' }, ...options,
  });
  c.on('error', err => { throw err; });
  await c.connect();
  return c;
}

const flagsOf = m => [...m.flags].sort().join(' ');
const item = m => ({ flags: flagsOf(m), modseq: String(m.modseq) });

// What a mailbox holds, asked for afresh.
async function truth(c) {
  const all = {};
  for await (const m of c.fetch('1:*', { uid: true, flags: true })) all[m.uid] = item(m);
  return all;
}

async function until(what, f) {
  for (let i = 0; i < 600; i++) {
    if (f()) return;
    await new Promise(r => setTimeout(r, 50));
  }
  throw new Error('no ' + what);
}

(async () => {
  const other = await connect({ qresync: false, disableCompression: true });
  await other.mailboxOpen('INBOX');
  for (let i = 0; i < 60; i++) {
    await other.append('INBOX', `Subject: n ${i}\r\nMessage-ID: <${i}@test>\r\n\r\nbody ${i} Grüße\r\n`, i % 3 ? [] : ['\\Seen', 'Work']);
  }

  // The first, full synchronisation.
  let c = await connect();
  for (const e of ['CONDSTORE', 'QRESYNC', 'UTF8=ACCEPT', 'IMAP4REV2']) assert(c.enabled.has(e), 'not enabled: ' + e + ' of ' + [...c.enabled]);
  assert(c._deflate && c._inflate && !other._deflate, 'COMPRESS is not in use');
  let box = await c.mailboxOpen('INBOX');
  assert.strictEqual(box.exists, 60);
  assert(box.permanentFlags.has('\\*'));
  const known = {};
  for await (const m of c.fetch('1:*', { uid: true, flags: true, envelope: true, bodyStructure: true, internalDate: true, size: true, source: true })) {
    assert.strictEqual(m.envelope.subject, 'n ' + (m.seq - 1));
    assert.strictEqual(m.size, m.source.length);
    assert.strictEqual(m.bodyStructure.type, 'text/plain');
    known[m.uid] = item(m);
  }
  const { highestModseq, uidValidity } = box;
  c.close(); // without a word

  // Meanwhile, elsewhere.
  await other.messageDelete('5:9,20', { uid: true });
  await other.messageFlagsAdd('1:4', ['\\Flagged', 'Later'], { uid: true });
  await other.messageFlagsRemove('10:13', ['\\Seen', 'Work'], { uid: true });
  await other.append('INBOX', 'Subject: new\r\n\r\nnew\r\n', ['\\Answered']);
  await other.messageMove('30', 'Archive', { uid: true });

  // Back again: what vanished and what changed is all it is told.
  const told = [];
  c = await connect();
  c.on('flags', e => { if (e.uid) { told.push(e.uid); known[e.uid] = item(e); } });
  c.on('expunge', e => { assert(e.vanished && e.uid, 'EXPUNGE under QRESYNC'); delete known[e.uid]; });
  box = await c.mailboxOpen('INBOX', { uidValidity, changedSince: highestModseq });
  await until('resync', () => known[61] || told.length >= 8);
  const fresh = await truth(other);
  assert.deepStrictEqual(Object.keys(known), Object.keys(fresh));
  const plain = all => Object.fromEntries(Object.entries(all).map(([uid, m]) => [uid, m.flags]));
  assert.deepStrictEqual(plain(known), plain(fresh));
  assert.deepStrictEqual([...new Set(told)].sort((a, b) => a - b), [1, 2, 3, 4, 10, 13, 61].filter(u => fresh[u]), 'told of more or less than changed');

  // What others do shows up in IDLE.
  let exists = 0;
  c.on('exists', e => { exists = e.count; });
  const idling = c.idle();
  await other.append('INBOX', 'Subject: while idle\r\n\r\ntext\r\n');
  await until('EXISTS', () => exists > 0); // told at once with VANISHED, it would be the number that imapflow has already
  await other.messageDelete('1', { uid: true });
  await other.messageFlagsAdd('2', ['\\Answered'], { uid: true });
  await until('VANISHED', () => !known[1]);
  await until('flags', () => known[2].flags.includes('Answered'));

  // Names, copies, parts, searches.
  await c.mailboxCreate('Ä & B/ü');
  const names = (await c.list({ statusQuery: { messages: true } })).map(b => b.path);
  assert(names.includes('Ä & B/ü'), names.join());
  const copied = await c.messageCopy('2:4', 'Ä & B/ü', { uid: true });
  assert.strictEqual(copied.uidMap.size, 3);
  assert.strictEqual((await c.status('Ä & B/ü', { messages: true, highestModseq: true })).messages, 3);
  assert.deepStrictEqual(await c.search({ subject: 'while idle' }, { uid: true }), [62]);
  assert.deepStrictEqual(await c.search({ body: 'gRÜßE', uid: '2:4' }, { uid: true }), [2, 3, 4]);
  const part = await c.download('2', '1', { uid: true });
  let text = '';
  for await (const chunk of part.content) text += chunk;
  assert.strictEqual(text, 'body 1 Grüße\r\n');
  assert.strictEqual((await c.fetchOne('3', { flags: true }, { uid: true })).uid, 3);
  await c.mailboxRename('Ä & B/ü', 'Ä & B/ö');
  await c.mailboxDelete('Ä & B/ö');
  const quota = await c.getQuota('INBOX');
  assert(quota === false || quota, 'no answer about the quota');
  await c.logout();
  await idling;
  await other.logout();
})().then(() => process.exit(0), err => { console.error(err); process.exit(1); });
