// verdict.js - what the guard said, as one line that opens to the reasons.
import {el} from './dom.js';

const WORDS = {
  allow: 'allowed', flag: 'flagged', redact: 'redacted', ask: 'a person decides',
  block: 'blocked',
};
const CHANNELS = {
  input: 'request', output: 'answer', tool_call: 'tool call', tool_result: 'tool result',
  document: 'document', tool_definition: 'tool definition',
};
const SHOWN = 6; // categories, the likeliest first

export const actionWord = action => WORDS[action] ?? action;
export const channelWord = channel => CHANNELS[channel] ?? channel;

export function badge(action) {
  return el('span', {class: 'badge', 'data-action': action}, actionWord(action));
}

// The categories with their scores; those that say nothing are left out.
export function scores(categories) {
  const rows = Object.entries(categories ?? {}).sort((a, b) => b[1] - a[1]);
  const list = el('dl', {class: 'scores'});
  for (const [name, score] of rows.slice(0, SHOWN)) {
    list.append(
      el('dt', {}, name),
      el('dd', {},
        el('meter', {min: 0, max: 1, value: score, 'aria-label': `score of ${name}`}),
        el('span', {class: 'number'}, score.toFixed(2))));
  }
  return rows.length ? list : null;
}

function facts(verdict) {
  const list = el('dl', {class: 'facts'});
  const put = (name, value) => value !== undefined && value !== '' &&
    list.append(el('dt', {}, name), el('dd', {}, String(value)));
  put('checks', (verdict.checks ?? []).join(', ') || 'none spoke');
  put('score', verdict.score?.toFixed?.(3));
  put('decision', verdict.decision_id);
  return list;
}

// `verdict` is a `corral` object or one of an event.
export function verdictView(verdict) {
  const checks = (verdict.checks ?? []).join(', ');
  return el('details', {class: 'verdict', 'data-action': verdict.action},
    el('summary', {},
      badge(verdict.action), ' ',
      el('span', {class: 'quiet'}, channelWord(verdict.channel), checks ? ` · ${checks}` : '')),
    scores(verdict.categories), facts(verdict));
}
