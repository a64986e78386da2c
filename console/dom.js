// dom.js - elements. Whatever a model, a tool or a person wrote becomes a text
// node here and nothing else: no function of the console takes markup.

export const byId = id => document.getElementById(id);

// el('p', {class: 'note', title: '...', onclick: f}, 'text', child, null)
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.filter(child => child !== null && child !== undefined));
  return node;
}

export function fill(node, ...children) {
  node.replaceChildren(...children.filter(child => child !== null));
}

// An action that the server is asked for: not twice at a time, and what went
// wrong is said beside it.
export function button(label, attributes, action) {
  const node = el('button', {type: 'button', ...attributes}, label);
  node.addEventListener('click', async () => {
    node.disabled = true;
    try {
      await action(node);
    } catch (error) {
      tell(error.message);
    } finally {
      node.disabled = false;
    }
  });
  return node;
}

// One that takes two presses, since it cannot be undone.
export function riskyButton(label, again, attributes, action) {
  let sure = false;
  const node = button(label, attributes, async () => {
    if (sure) return action(node);
    sure = true;
    node.textContent = again;
    setTimeout(() => {
      sure = false;
      node.textContent = label;
    }, 4000);
  });
  return node;
}

// A line at the foot of the page that goes by itself; read aloud, too.
let timer;
export function tell(text) {
  const node = byId('notice');
  node.textContent = text;
  node.hidden = !text;
  clearTimeout(timer);
  timer = setTimeout(() => { node.hidden = true; }, 8000);
}

// Whoever approves a call has to see what will run: characters that are not
// seen or that turn others around are written as escapes.
export function plain(text) {
  return text.replace(/(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu, c =>
    [...Array(c.length).keys()].map(i =>
      '\\u' + c.charCodeAt(i).toString(16).padStart(4, '0')).join(''));
}

// JSON as people read it, its strings and numbers to the letter; what is none,
// as it is.
export function pretty(text) {
  try {
    JSON.parse(text);
  } catch {
    return plain(text);
  }
  const line = depth => '\n' + '  '.repeat(depth);
  let out = '', depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[{]\s*[\]}]|[^\s"]/gu)) {
    if (token.length > 1 && token[0] !== '"') out += token[0] + token.at(-1);
    else if (token === '{' || token === '[') out += token + line(++depth);
    else if (token === '}' || token === ']') out += line(--depth) + token;
    else if (token === ',') out += token + line(depth);
    else out += token === ':' ? ': ' : token;
  }
  return plain(out);
}

export function plural(count, one, many = one + 's') {
  return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}

export function time(seconds) {
  const at = new Date(seconds * 1000);
  const today = at.toDateString() === new Date().toDateString();
  return today ? at.toLocaleTimeString([], {hour: '2-digit', minute: '2-digit'})
    : at.toLocaleDateString([], {day: 'numeric', month: 'short'});
}
