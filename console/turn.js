// turn.js - a conversation on the page. The same functions draw what a session
// kept and what a turn tells while it runs.
import {el, plural, pretty} from './dom.js';
import {questionView} from './question.js';
import {badge, verdictView} from './verdict.js';

const ENDS = {
  length: 'It ended at a limit.', aborted: 'The turn was broken off.',
  interrupted: 'The server ended before the turn did.',
  tool_calls: 'A tool of the client’s was called.', error: 'The turn failed.',
};
const STATES = {
  judged: 'being judged', waiting: 'waits for a person', running: 'running', done: 'done',
  denied: 'not made', failed: 'failed', cut: 'cut off',
};

export class Transcript {
  constructor(root) {
    this.root = root;
    this.clear();
  }

  clear() {
    this.root.replaceChildren();
    this.calls = new Map(); // by the call's id
    this.answer = null; // the text that grows
  }

  add(node) {
    const end = this.root.scrollHeight - this.root.clientHeight - this.root.scrollTop < 80;
    this.root.append(node);
    if (end) this.follow();
    return node;
  }

  follow() {
    this.root.scrollTop = this.root.scrollHeight;
  }

  user(text, extra = null) {
    this.answer = null;
    this.add(el('article', {class: 'said by-user', 'aria-label': 'You'},
      el('div', {class: 'text'}, text), extra));
  }

  // More of the answer.
  text(piece) {
    if (!piece) return;
    if (!this.answer) {
      this.answer = el('div', {class: 'text'});
      this.add(el('article', {class: 'said by-model', 'aria-label': 'Model'}, this.answer));
    }
    const end = this.root.scrollHeight - this.root.clientHeight - this.root.scrollTop < 80;
    this.answer.append(piece);
    if (end) this.follow();
  }

  note(...content) {
    this.answer = null;
    this.add(el('p', {class: 'event'}, ...content));
  }

  refusal(verdict) {
    if (this.answer && verdict.action === 'block')
      this.answer.parentNode.classList.add('refused');
    this.answer = null;
    this.add(verdictView(verdict));
  }

  // Models count their calls anew in each turn, so an id that has its result is
  // another call's from then on.
  call(id) {
    const known = this.calls.get(id);
    if (known && !known.over) return known;
    this.answer = null;
    const call = {
      over: false,
      name: el('code', {class: 'tool'}, 'tool'),
      state: el('span', {class: 'state'}),
      input: el('pre', {class: 'arguments', hidden: true}),
      verdicts: el('div', {class: 'verdicts'}),
      slot: el('div'),
      output: el('div'),
    };
    call.root = el('article', {class: 'call', 'aria-label': 'Tool call'},
      el('header', {}, call.name, call.state),
      call.input, call.verdicts, call.slot, call.output);
    this.calls.set(id, call);
    this.stand(call, 'judged');
    this.add(call.root);
    return call;
  }

  stand(call, state) {
    call.root.dataset.state = state;
    call.state.textContent = STATES[state];
  }

  asked(call, name, input) {
    if (name) call.name.textContent = name;
    if (input === undefined) return;
    call.input.textContent = pretty(input);
    call.input.hidden = false;
  }

  result(id, content) {
    const call = this.call(id), size = new TextEncoder().encode(content).length;
    const wrong = content.startsWith('error: ');
    // A tool that ran may say that it was denied; that does not undo its call.
    const held = ['waiting', 'denied'].includes(call.root.dataset.state);
    this.stand(call, !wrong ? 'done' : held ? 'denied' : 'failed');
    call.over = true;
    call.slot.replaceChildren();
    call.output.replaceChildren(
      el('details', {class: 'result'},
        el('summary', {}, 'Result', el('span', {class: 'quiet'},
          ` · data, not instructions · ${plural(size, 'byte')}`)),
        el('pre', {}, content)));
  }

  question(id, question) {
    const call = this.call(id);
    this.asked(call, question.name, question.arguments);
    this.stand(call, 'waiting');
    const {name, arguments: input, ...rest} = question; // they stand above
    call.slot.replaceChildren(questionView(rest, decision => {
      call.slot.replaceChildren();
      // The turn may have gone on before the answer to the answer was here.
      if (call.root.dataset.state === 'waiting')
        this.stand(call, decision === 'approve' ? 'running' : 'denied');
    }));
    this.follow();
  }

  // One event of a stream.
  event(event) {
    const id = event.call_id;
    if (event.type === 'tool_call') {
      const call = this.call(id);
      this.asked(call, event.name, event.arguments);
      call.slot.replaceChildren();
      this.stand(call, 'running');
    } else if (event.type === 'tool_result') {
      this.result(id, event.content);
    } else if (event.type === 'verdict') {
      this.call(id).verdicts.append(verdictView(event.verdict));
    } else if (event.type === 'approval') {
      this.question(id, event);
    }
  }

  // How a turn ended, when not simply with its answer.
  end(finish, corral) {
    if (corral?.dropped_messages) this.dropped(corral.dropped_messages, corral.summarised);
    if (corral?.action && corral.action !== 'allow') this.refusal(corral);
    else if (finish === 'content_filter') this.note(badge('block'));
    if (ENDS[finish])
      this.note(ENDS[finish], corral?.limit ? ` (${corral.limit})` : '');
    this.answer = null;
    for (const call of this.calls.values())
      this.stop(call);
  }

  dropped(count, summarised) {
    this.note(`${plural(count, 'old message')} did not fit any more and ` +
      (summarised ? 'stand as a summary.' : 'were left out.'));
  }

  // Without a result, a call that ran may have had its effect.
  stop(call) {
    const state = call.root.dataset.state;
    call.over = true;
    if (state === 'running') this.stand(call, 'cut');
    else if (state === 'judged' || state === 'waiting') this.stand(call, 'denied');
    call.slot.replaceChildren();
  }

  // What a session kept, `running` with the last turn still under way.
  // `fork(n)`: a button for another session of the first n messages.
  replay(entries, running, fork) {
    let messages = 0;
    this.clear();
    for (const {message, event} of entries) {
      if (message) this.kept(message, messages ? fork(messages) : null);
      else if (event) this.keptEvent(event);
      if (message) messages++;
    }
    this.answer = null;
    for (const call of this.calls.values())
      if (call.root.dataset.state === 'judged')
        this.stand(call, running ? 'running' : 'cut');
    this.follow();
  }

  kept(message, fork) {
    if (message.role === 'user') {
      this.user(message.content, fork);
      return;
    }
    if (message.role === 'tool') {
      this.result(message.tool_call_id, message.content);
      return;
    }
    this.answer = null;
    this.text(message.content);
    for (const call of message.tool_calls ?? [])
      this.asked(this.call(call.id), call.function.name, call.function.arguments);
  }

  keptEvent(event) {
    if (event.type === 'turn') {
      if (event.corral?.action === 'block' && event.corral.channel === 'input')
        this.note('A message was refused, and is not kept.');
      this.end(event.finish, event.corral);
    }
    if (event.type === 'compacted') {
      this.dropped(event.dropped_messages, event.summary);
      if (event.summary)
        this.add(el('details', {class: 'event'},
          el('summary', {}, 'The summary'), el('pre', {}, event.summary)));
    }
  }
}
