// app.js - the page's four views, one at a time, and the API key.
import * as activity from './activity.js';
import {askKey, hasKey} from './api.js';
import * as approvals from './approvals.js';
import * as chat from './chat.js';
import * as check from './check.js';
import {byId, tell} from './dom.js';

const views = {chat, approvals, check, activity};

function current() {
  const name = location.hash.slice(1);
  return Object.hasOwn(views, name) ? name : 'chat';
}

async function show() {
  const name = current();
  for (const other of Object.keys(views)) byId(other).hidden = other !== name;
  for (const link of document.querySelectorAll('nav a')) {
    if (link.hash === '#' + name) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  document.title = `${byId(name).getAttribute('aria-label')} · Corral`;
  try {
    await views[name].show();
  } catch (error) {
    tell(error.message);
  }
}

function keyButton() {
  byId('key').textContent = hasKey() ? 'Change key' : 'API key';
}

byId('key').addEventListener('click', () => askKey());
byId('key-form').addEventListener('submit', event => {
  event.preventDefault();
  byId('key-dialog').close('use');
});
byId('key-cancel').addEventListener('click', () => byId('key-dialog').close(''));
document.addEventListener('key', () => {
  keyButton();
  show();
});
addEventListener('hashchange', show);
for (const view of Object.values(views)) view.setUp();
keyButton();
show();
