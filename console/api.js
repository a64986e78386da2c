// api.js - what the console asks of the server that it came from. The API key
// lives in this tab's session storage and goes nowhere but into the header.
import {byId} from './dom.js';

const STORE = 'corral-key';
const LINE_MAX = 8 << 20; // of an event; past it the server is not ours

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export function hasKey() {
  return sessionStorage.getItem(STORE) !== null;
}

let asking = null; // one question at a time, however many requests wait for it

// Ask for a key; false when the person would rather not. The dialog can be
// closed in many ways, so what it says is looked at when it has closed.
export function askKey(why = '') {
  asking ??= new Promise(done => {
    const dialog = byId('key-dialog'), input = byId('key-input');
    byId('key-why').textContent = why;
    input.value = '';
    dialog.returnValue = '';
    dialog.addEventListener('close', () => {
      const value = input.value.trim();
      const taken = dialog.returnValue === 'use';
      input.value = '';
      asking = null;
      if (taken && value) sessionStorage.setItem(STORE, value);
      else if (taken) sessionStorage.removeItem(STORE);
      if (taken) document.dispatchEvent(new Event('key'));
      done(taken);
    }, {once: true});
    dialog.showModal();
  });
  return asking;
}

function send(method, path, body, signal) {
  const key = sessionStorage.getItem(STORE), headers = {};
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (key !== null) headers.authorization = 'Bearer ' + key;
  return fetch(path, {
    method, headers, signal,
    body: body === undefined ? undefined : JSON.stringify(body),
    cache: 'no-store', credentials: 'omit', redirect: 'error',
  });
}

async function fault(response) {
  let message = `${response.status} ${response.statusText}`;
  try {
    message = (await response.json()).error.message || message;
  } catch { /* not one of our errors: the status says what there is to say */ }
  if (response.status === 403) message = `Your API key may not do this. ${message}`;
  return new ApiError(response.status, message);
}

// `quiet`: a look that nobody asked for, which puts no question to the person.
async function respond(method, path, {body, signal, quiet = false} = {}) {
  for (;;) {
    let response;
    try {
      response = await send(method, path, body, signal);
    } catch (error) {
      if (error.name === 'AbortError') throw error;
      throw new ApiError(0, 'The server cannot be reached.');
    }
    if (response.ok) return response;
    const error = await fault(response);
    if (response.status !== 401 || quiet || !await askKey(hasKey() ? error.message : ''))
      throw error;
  }
}

export async function get(path, options) {
  return (await respond('GET', path, options)).json();
}

export async function text(path, options) {
  return (await respond('GET', path, options)).text();
}

export async function post(path, body, options) {
  return (await respond('POST', path, {...options, body})).json();
}

export async function remove(path) {
  return (await respond('DELETE', path)).json();
}

// The data of each server-sent event, until [DONE] or the end. The stream has
// one line of data an event; an event of another kind is a comment to us.
export async function* stream(path, body, signal) {
  const response = await respond('POST', path, {body, signal});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const {value, done} = await reader.read();
    if (done) throw new ApiError(0, 'The answer was cut off.');
    rest += value;
    if (rest.length > LINE_MAX) throw new ApiError(0, 'An event is too long.');
    const lines = rest.split('\n');
    rest = lines.pop();
    for (const line of lines) {
      if (!line.startsWith('data: ')) continue;
      if (line === 'data: [DONE]') return;
      const data = JSON.parse(line.slice(6));
      if (data.error) throw new ApiError(response.status, data.error.message);
      yield data;
    }
  }
}
