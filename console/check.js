// check.js - one text judged by the policy in force, and what spoke where.
import {post} from './api.js';
import {byId, el, fill} from './dom.js';
import {actionWord, badge, channelWord, scores} from './verdict.js';

// A finding's place is in bytes of UTF-8, a text's here in UTF-16.
function cutter(text) {
  const bytes = new TextEncoder().encode(text), decoder = new TextDecoder();
  return (start, end) => decoder.decode(bytes.subarray(start, end));
}

// The text with its findings marked; those that overlap are one mark.
function marked(text, findings) {
  const cut = cutter(text), node = el('pre', {class: 'marked'});
  const places = findings.filter(f => f.field === 'text' && f.end > f.start)
    .sort((a, b) => a.start - b.start);
  let at = 0;
  for (const f of places) {
    if (f.end <= at) continue;
    const start = Math.max(at, f.start);
    node.append(cut(at, start),
      el('mark', {'data-action': f.action, title: `${f.check}: ${f.category ?? actionWord(f.action)}`},
        cut(start, f.end)));
    at = f.end;
  }
  node.append(cut(at));
  return places.length ? node : null;
}

// What would go on in the text's place.
function redacted(text, findings) {
  const cut = cutter(text);
  const places = findings.filter(f => f.action === 'redact' && f.field === 'text' && f.end > f.start)
    .sort((a, b) => a.start - b.start);
  let at = 0, out = '';
  for (const f of places) {
    if (f.start < at) continue;
    out += cut(at, f.start) + `[${f.category || f.check}]`;
    at = f.end;
  }
  return places.length ? out + cut(at) : null;
}

function table(findings) {
  const head = ['check', 'category', 'score', 'action', 'where'];
  return el('div', {class: 'scroll'}, el('table', {},
    el('thead', {}, el('tr', {}, ...head.map(h => el('th', {scope: 'col'}, h)))),
    el('tbody', {}, ...findings.map(f => el('tr', {},
      el('td', {}, el('code', {}, f.check)),
      el('td', {}, f.category ?? ''),
      el('td', {class: 'number'}, f.score === undefined ? '' : f.score.toFixed(3)),
      el('td', {}, badge(f.action)),
      el('td', {class: 'quiet'}, f.end > f.start ? `${f.field}, bytes ${f.start} to ${f.end}` : f.field ?? ''))))));
}

function microseconds(timings) {
  return Object.entries(timings).filter(([, us]) => us > 0)
    .map(([part, us]) => `${part} ${us < 1000 ? us + ' µs' : (us / 1000).toFixed(1) + ' ms'}`)
    .join(' · ');
}

function view(verdict, text) {
  const findings = verdict.findings ?? [], instead = redacted(text, findings);
  const part = (title, node) => node ? el('section', {}, el('h3', {}, title), node) : null;
  return [
    el('p', {class: 'outcome'},
      badge(verdict.action), ` on ${channelWord(verdict.channel)}`,
      typeof verdict.score === 'number' ? el('span', {class: 'quiet'}, ` · score ${verdict.score.toFixed(3)}`) : null),
    part('Categories', scores(verdict.categories)),
    part('Findings', findings.length ? table(findings) : null),
    part('In the text', marked(text, findings)),
    part('What redaction leaves', instead === null || verdict.action !== 'redact' ? null
      : el('pre', {class: 'instead'}, instead)),
    el('p', {class: 'quiet'},
      `policy ${verdict.policy}, revision ${verdict.revision} · ${microseconds(verdict.timings_us)}`),
  ];
}

// The body of /v1/guard/check for what the form holds.
function body() {
  const channel = byId('check-channel').value, text = byId('check-text').value;
  if (channel === 'tool_call') {
    const name = byId('check-tool').value.trim();
    let input;
    try {
      input = JSON.parse(text);
    } catch {
      throw new Error('The arguments of a call are a JSON object.');
    }
    return {tool_call: {name, arguments: input}};
  }
  const prompt = byId('check-prompt').value;
  return {text, channel, ...(channel === 'output' && prompt ? {prompt} : {})};
}

async function judge() {
  const out = byId('check-result');
  out.setAttribute('aria-busy', 'true');
  try {
    const asked = body();
    fill(out, ...view(await post('/v1/guard/check', asked), asked.text ?? ''));
  } catch (error) {
    fill(out, el('p', {class: 'fault'}, error.message));
  }
  out.removeAttribute('aria-busy');
}

function fields() {
  const channel = byId('check-channel').value;
  byId('check-prompt-field').hidden = channel !== 'output';
  byId('check-tool-field').hidden = channel !== 'tool_call';
  byId('check-text-label').textContent = channel === 'tool_call' ? 'Arguments, as JSON' : 'Text';
}

export function setUp() {
  byId('check-channel').addEventListener('change', fields);
  byId('check-form').addEventListener('submit', event => {
    event.preventDefault();
    judge();
  });
  fields();
}

export async function show() {
  byId('check-text').focus();
}
