// activity.js - what the server has counted since its start, of /metrics.
import {text} from './api.js';
import {byId, el, fill} from './dom.js';
import {channelWord} from './verdict.js';

const EVERY_MS = 5000;
let timer;

// Prometheus' text format, as far as our own server writes it: a map of names to
// [{labels, value}].
export function parse(source) {
  const found = new Map();
  for (const line of source.split('\n')) {
    const parts = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (!parts) continue;
    const labels = {};
    for (const [, name, value] of (parts[2] ?? '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g))
      labels[name] = value;
    if (!found.has(parts[1])) found.set(parts[1], []);
    found.get(parts[1]).push({labels, value: Number(parts[3])});
  }
  return found;
}

const group = (samples = [], label) => {
  const groups = new Map();
  for (const sample of samples) {
    const name = sample.labels[label];
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(sample);
  }
  return groups;
};

// The bound below which the part `q` lies: "at most this".
function quantile(buckets, q) {
  const rows = buckets.map(b => [b.labels.le === '+Inf' ? Infinity : Number(b.labels.le), b.value])
    .sort((a, b) => a[0] - b[0]);
  const total = rows.at(-1)?.[1] ?? 0;
  if (!total) return null;
  return rows.find(row => row[1] >= q * total)[0];
}

function seconds(bound, buckets) {
  if (bound === null) return '–';
  if (bound === Infinity)
    return '> ' + seconds(Math.max(...buckets.map(b => Number(b.labels.le)).filter(Number.isFinite)), buckets).slice(2);
  return '≤ ' + (bound < 0.001 ? `${Math.round(bound * 1e6)} µs`
    : bound < 1 ? `${Math.round(bound * 1e4) / 10} ms` : `${bound} s`);
}

function table(caption, head, rows) {
  if (!rows.length) return el('p', {class: 'quiet'}, 'Nothing yet.');
  return el('div', {class: 'scroll'}, el('table', {},
    el('caption', {class: 'unseen'}, caption),
    el('thead', {}, el('tr', {}, ...head.map(h => el('th', {scope: 'col'}, h)))),
    el('tbody', {}, ...rows.map(([first, ...cells]) => el('tr', {},
      el('th', {scope: 'row'}, first),
      ...cells.map(cell => el('td', {class: 'number'}, cell)))))));
}

const sum = samples => samples.reduce((all, sample) => all + sample.value, 0);
const number = value => value.toLocaleString();

function figure(name, value, note = '') {
  return el('div', {class: 'figure'},
    el('dt', {}, name), el('dd', {}, value), note ? el('dd', {class: 'quiet'}, note) : null);
}

function figures(found) {
  const requests = found.get('corral_requests_total') ?? [];
  const verdicts = found.get('corral_verdicts_total') ?? [];
  const tokens = found.get('corral_tokens_total') ?? [];
  const of = (samples, label, value) => sum(samples.filter(s => s.labels[label] === value));
  const failed = sum(requests.filter(s => s.labels.status.startsWith('5')));
  const first = found.get('corral_ttft_seconds_bucket') ?? [];
  return el('dl', {class: 'figures'},
    figure('Requests', number(sum(requests)), `${number(failed)} failed (5xx)`),
    figure('Texts judged', number(sum(verdicts)), `${number(of(verdicts, 'result', 'unavailable'))} without a verdict`),
    figure('Blocked', number(of(verdicts, 'result', 'blocked')),
      `${number(of(verdicts, 'result', 'redacted'))} redacted, ${number(of(verdicts, 'result', 'asked'))} asked`),
    figure('Tokens written', number(of(tokens, 'kind', 'completion')),
      `${number(of(tokens, 'kind', 'prompt'))} read`),
    figure('First token, median', seconds(quantile(first, 0.5), first), 'with its verdict'));
}

function verdictRows(found) {
  const results = ['allowed', 'blocked', 'redacted', 'asked', 'flagged', 'would_block', 'unavailable'];
  const buckets = group(found.get('corral_guard_seconds_bucket'), 'channel');
  return [...group(found.get('corral_verdicts_total'), 'channel')].map(([channel, samples]) => {
    const own = buckets.get(channel) ?? [];
    return [channelWord(channel),
      ...results.map(result => number(sum(samples.filter(s => s.labels.result === result)))),
      seconds(quantile(own, 0.5), own), seconds(quantile(own, 0.95), own)];
  });
}

function requestRows(found) {
  const buckets = group(found.get('corral_request_seconds_bucket'), 'route');
  return [...group(found.get('corral_requests_total'), 'route')].map(([route, samples]) => {
    const own = buckets.get(route) ?? [];
    const of = digit => number(sum(samples.filter(s => s.labels.status.startsWith(digit))));
    return [route, of('2'), of('4'), of('5'),
      seconds(quantile(own, 0.5), own), seconds(quantile(own, 0.95), own)];
  }).sort((a, b) => a[0].localeCompare(b[0]));
}

async function look(quiet) {
  const found = parse(await text('/metrics', {quiet}));
  fill(byId('activity-body'),
    figures(found),
    el('h3', {}, 'Verdicts'),
    table('Verdicts by what was judged',
      ['judged', 'allowed', 'blocked', 'redacted', 'asked', 'flagged', 'would block', 'unavailable', 'median', '95 %'],
      verdictRows(found)),
    el('h3', {}, 'Requests'),
    table('Requests by route', ['route', '2xx', '4xx', '5xx', 'median', '95 %'], requestRows(found)));
}

async function again() {
  if (byId('activity').hidden) return;
  try {
    if (!document.hidden) await look(true);
    timer = setTimeout(again, EVERY_MS);
  } catch (error) {
    fill(byId('activity-body'), el('p', {class: 'fault'}, error.message));
  }
}

export async function show() {
  clearTimeout(timer);
  try {
    await look(false);
    timer = setTimeout(again, EVERY_MS);
  } catch (error) {
    fill(byId('activity-body'), el('p', {class: 'fault'}, error.message));
  }
}

export function setUp() {}
