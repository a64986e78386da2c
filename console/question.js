// question.js - a tool call that waits for a person: what it would do, how long
// there is to answer, and the two answers.
import {post} from './api.js';
import {button, el, pretty, tell} from './dom.js';

const GONE = 'It was answered already, or its time ran out.';

function clock(seconds) {
  const left = Math.max(0, Math.floor(seconds));
  return `${Math.floor(left / 60)}:${String(left % 60).padStart(2, '0')}`;
}

// Counts down until it is taken off the page, or the time is over.
function countdown(expires) {
  const node = el('span', {class: 'countdown', role: 'timer'});
  const tick = () => {
    const left = expires - Date.now() / 1000;
    node.textContent = left > 0 ? `${clock(left)} left` : 'its time is over';
    node.classList.toggle('late', left < 30);
    return left > 0;
  };
  tick();
  const timer = setInterval(() => {
    if (!tick() || !node.isConnected) clearInterval(timer);
  }, 1000);
  return node;
}

// `question`: {id, tool or name, arguments, checks, expires}. `answered` is
// told 'approve' or 'deny', or 'gone' when there was nobody to tell.
export function questionView(question, answered) {
  const buttons = el('div', {class: 'row'});
  const decide = decision => async () => {
    try {
      await post(`/v1/approvals/${encodeURIComponent(question.id)}`, {decision});
      answered(decision);
    } catch (error) {
      if (error.status !== 404) throw error;
      tell(GONE);
      answered('gone');
    }
  };
  buttons.append(
    button('Approve', {class: 'yes'}, decide('approve')),
    button('Deny', {class: 'no'}, decide('deny')),
    countdown(question.expires));
  const name = question.tool ?? question.name;
  return el('div', {class: 'question', role: 'group', 'aria-label': `Approval of ${name ?? 'a call'}`},
    el('p', {},
      el('strong', {}, 'A person is asked. '),
      'The policy’s ', el('code', {}, [question.checks].flat().join(', ')), ' holds this call until you answer.'),
    question.arguments && name
      ? el('div', {}, el('code', {class: 'tool'}, name), el('pre', {}, pretty(question.arguments)))
      : null,
    buttons);
}
