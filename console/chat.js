// chat.js - conversations with the agent: the server keeps them as sessions,
// this page shows one and sends its next turn.
import {get, post, remove, stream} from './api.js';
import {button, byId, el, fill, plural, riskyButton, tell, time} from './dom.js';
import {Transcript} from './turn.js';

const PAGE = 30, RUNNING_MS = 2000;

const transcript = new Transcript(byId('transcript'));
let session = null; // the one on the page; null: the next message begins one
let turn = null; // an AbortController while a turn of ours runs
let after = ''; // the next page of the list begins behind this one
let wanted = null; // the session that was asked for last; it may still be on its way
let looking; // the timer that waits for a turn of somebody else's

const path = (id, rest = '') => `/v1/sessions/${encodeURIComponent(id)}${rest}`;
const titleOf = s => s.metadata?.name || `Session ${s.id.slice(-6)}`;

// ---- the list ----

function row(s) {
  const count = s.running ? 'running' : plural(s.entry_count, 'entry', 'entries');
  return el('li', {},
    el('button', {
      type: 'button', class: 'session', 'data-id': s.id,
      'aria-current': s.id === session?.id ? 'true' : null,
      onclick: () => open(s.id).catch(error => tell(error.message)),
    },
    el('span', {class: 'title'}, titleOf(s)),
    el('span', {class: 'quiet'}, `${time(s.updated_at)} · ${count}`)));
}

async function list(more = false) {
  const page = await get(`/v1/sessions?limit=${PAGE}${more && after ? `&after=${after}` : ''}`);
  const rows = page.data.map(row), sessions = byId('sessions');
  if (more) sessions.append(...rows);
  else fill(sessions, ...rows);
  after = page.data.at(-1)?.id ?? '';
  byId('more').hidden = !page.has_more;
  byId('no-sessions').hidden = sessions.childElementCount > 0;
}

// The list is a help; what goes wrong in it must not end a turn.
const listAgain = () => list().catch(error => tell(error.message));

function mark() {
  for (const node of byId('sessions').querySelectorAll('.session')) {
    if (node.dataset.id === session?.id) node.setAttribute('aria-current', 'true');
    else node.removeAttribute('aria-current');
  }
}

// ---- one session ----

function forkButton(messages) {
  return button('Fork before this', {class: 'link'}, () => fork({at: messages}));
}

async function fork(body) {
  const made = await post(path(session.id, '/fork'), body);
  await open(made.id);
  listAgain();
  tell('A fork: what is said here does not reach the first session.');
}

async function erase() {
  await remove(path(session.id));
  begin();
  listAgain();
}

function head() {
  const bar = byId('session-bar');
  byId('start').hidden = session !== null;
  transcript.root.hidden = session === null;
  bar.hidden = session === null;
  if (!session) return;
  fill(bar,
    el('strong', {class: 'title'}, titleOf(session)),
    el('span', {class: 'quiet'}, session.model || byId('model').value),
    el('span', {class: 'space'}),
    button('Fork', {class: 'small'}, () => fork({})),
    riskyButton('Delete', 'Really delete?', {class: 'small no'}, erase));
}

// The page turns to another session. What runs goes on, unseen, for as long as
// this tab is open; whoever comes back finds it in the session's record.
function leave() {
  turn = null;
  running(false);
  clearTimeout(looking);
}

export function begin() {
  leave();
  session = wanted = null;
  transcript.clear();
  head();
  mark();
  byId('message').focus();
}

async function open(id) {
  byId('sidebar').open = wide.matches;
  if (turn && id === session?.id) return;
  wanted = id;
  const whole = await get(path(id));
  if (wanted !== id) return;
  leave();
  session = whole;
  transcript.replay(whole.entries, whole.running, forkButton);
  if (whole.system) transcript.root.prepend(
    el('details', {class: 'event'}, el('summary', {}, 'System text'), el('pre', {}, whole.system)));
  head();
  mark();
  if (whole.running) looking = setTimeout(() => open(id).catch(() => {}), RUNNING_MS);
}

// ---- a turn ----

function running(on) {
  byId('send').hidden = on;
  byId('stop').hidden = !on;
  transcript.root.setAttribute('aria-busy', on);
}

async function create() {
  const body = {metadata: {from: 'console'}};
  const system = byId('system').value.trim(), name = byId('name').value.trim();
  if (byId('model').value) body.model = byId('model').value;
  if (system) body.system = system;
  if (name) body.metadata.name = name;
  session = await post('/v1/sessions', body);
  head();
  listAgain();
}

async function say(content) {
  const own = new AbortController(), id = session.id;
  const body = {content, stream: true, stream_options: {include_events: true}};
  let finish = '', corral = null;
  turn = own;
  running(true);
  transcript.user(content);
  transcript.follow();
  try {
    for await (const chunk of stream(path(id, '/messages'), body, own.signal)) {
      if (turn !== own) continue; // the page shows another session
      if (chunk.corral?.event) transcript.event(chunk.corral.event);
      else if (chunk.corral) corral = chunk.corral;
      for (const choice of chunk.choices ?? []) {
        transcript.text(choice.delta?.content);
        corral = choice.corral ?? corral;
        finish = choice.finish_reason ?? finish;
      }
    }
    if (turn === own) transcript.end(finish, corral);
  } catch (error) {
    if (turn === own) {
      transcript.end(own.signal.aborted ? 'aborted' : '', null);
      if (!own.signal.aborted)
        transcript.note(el('strong', {}, 'No answer. '), error.message);
    }
  } finally {
    if (turn === own) leave();
    listAgain();
  }
}

let creating = false;

async function submit() {
  const input = byId('message'), content = input.value.trim();
  if (!content || turn || creating) return;
  creating = true;
  try {
    if (!session) await create();
  } catch (error) {
    tell(error.message);
    return;
  } finally {
    creating = false;
  }
  input.value = '';
  grow();
  await say(content);
  input.focus();
}

// ---- the page ----

const wide = matchMedia('(min-width: 46rem)');

// As high as its text, to the limit that the style sets.
function grow() {
  const input = byId('message');
  input.rows = Math.min(8, Math.max(1, input.value.split('\n').length));
}

export async function show() {
  const models = (await get('/v1/models')).data;
  const before = byId('model').value;
  fill(byId('model'), ...models.map(m => el('option', {value: m.id}, m.id)));
  if (models.some(m => m.id === before)) byId('model').value = before;
  await list();
}

export function setUp() {
  byId('composer').addEventListener('submit', event => {
    event.preventDefault();
    submit();
  });
  byId('message').addEventListener('input', grow);
  byId('message').addEventListener('keydown', event => {
    // Not while an input method composes a character.
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  });
  byId('stop').addEventListener('click', () => turn?.abort());
  byId('new').addEventListener('click', begin);
  byId('more').addEventListener('click', () =>
    list(true).catch(error => tell(error.message)));
  byId('sidebar').open = wide.matches;
  wide.addEventListener('change', () => { byId('sidebar').open = wide.matches; });
  document.addEventListener('key', begin); // whose sessions those were
  running(false);
  head();
}
