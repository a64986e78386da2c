// approvals.js - all calls that wait for a person, of whatever client.
import {get} from './api.js';
import {byId, el, fill, tell, time} from './dom.js';
import {questionView} from './question.js';

const EVERY_MS = 3000, HIDDEN_EVERY_MS = 15000;

const shown = new Map(); // by id, so that a look changes nothing that is read
let timer;

function card(question) {
  const view = questionView(question, decision => {
    shown.delete(question.id);
    node.remove();
    count();
    if (decision === 'approve') tell('Approved: the call is made.');
    if (decision === 'deny') tell('Denied: the call is not made.');
  });
  const node = el('li', {class: 'card'},
    el('p', {class: 'quiet'}, `asked at ${time(question.created)} · ${question.id}`), view);
  return node;
}

function count() {
  const badge = byId('waiting');
  badge.textContent = shown.size;
  badge.hidden = shown.size === 0;
  byId('no-approvals').hidden = shown.size > 0;
}

async function look(quiet) {
  const {data} = await get('/v1/approvals', {quiet});
  const ids = new Set(data.map(question => question.id));
  for (const [id, node] of shown) {
    if (ids.has(id)) continue;
    shown.delete(id);
    node.remove();
  }
  for (const question of data) {
    if (shown.has(question.id)) continue;
    shown.set(question.id, card(question));
    byId('approvals-list').append(shown.get(question.id));
  }
  count();
}

// On its page every few seconds; elsewhere for the number beside its name, and
// only for as long as the key may look.
async function again() {
  const here = !byId('approvals').hidden;
  clearTimeout(timer);
  try {
    if (!document.hidden) await look(true);
    timer = setTimeout(again, here ? EVERY_MS : HIDDEN_EVERY_MS);
  } catch (error) {
    if (error.status !== 401 && error.status !== 403)
      timer = setTimeout(again, HIDDEN_EVERY_MS);
  }
}

export async function show() {
  clearTimeout(timer);
  try {
    await look(false);
    fill(byId('approvals-fault'));
  } catch (error) {
    fill(byId('approvals-fault'), error.message);
  }
  timer = setTimeout(again, EVERY_MS);
}

export function setUp() {
  document.addEventListener('key', again);
  again();
}
