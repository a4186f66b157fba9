import {addressFrom} from './address.js';
import {Host} from './host.js';
import {Player} from './player.js';
import {stretchesOf} from './timeline.js';

const RENEW_BEFORE_MS = 60_000;
const RENEW_AT_LEAST_MS = 5000; // The clock of this computer may be wrong.

const part = (id) => document.getElementById(id);
const say = (sentence) => { part('message').textContent = sentence; };
const clock = new Intl.DateTimeFormat(undefined, {timeStyle: 'medium'});

const marks = {in: null, out: null};
let stretches = [];
let player;
let host;
let buffer;

// On the bar.

const oldest = () => stretches[0]?.[0] ?? 0;
const newest = () => stretches.at(-1)?.[1] ?? 0;
const percent = (at) => `${100 * Math.min(Math.max((at - oldest()) / (newest() - oldest()), 0), 1)}%`;

const place = (element, from, to) => {
  element.hidden = from === null || to === null;
  if (element.hidden) return;
  element.style.left = percent(from);
  if (to !== undefined) element.style.width = `calc(${percent(to)} - ${percent(from)})`;
};

const tell = (element, at) => {
  element.dateTime = at === null ? '' : new Date(at).toISOString();
  element.textContent = at === null ? '' : clock.format(at);
};

const drawStretches = (pieces) => {
  stretches = stretchesOf(pieces);
  part('recorded').replaceChildren(...stretches.map(([from, to]) => {
    const bar = document.createElement('div');
    place(bar, from, to);
    return bar;
  }));
  tell(part('oldest'), stretches.length ? oldest() : null);
  tell(part('newest'), stretches.length ? newest() : null);
  drawMarks();
  drawPlayhead();
};

const marked = () => marks.in !== null && marks.out !== null && marks.in < marks.out;

const drawMarks = () => {
  place(part('in'), marks.in);
  place(part('out'), marks.out);
  place(part('marked'), marked() ? marks.in : null, marks.out);
  part('save').disabled = !marked();
  part('range').textContent = marked() ? `${((marks.out - marks.in) / 1000).toFixed(1)} s` : '';
};

const drawPlayhead = () => {
  const at = player.shownAt;
  place(part('playhead'), at);
  tell(part('shown'), at);
  part('playhead').setAttribute('aria-valuetext', part('shown').textContent);
};

const timeUnder = (event) => {
  const {left, width} = part('timeline').getBoundingClientRect();
  return oldest() + Math.min(Math.max((event.clientX - left) / width, 0), 1) * (newest() - oldest());
};

// What people do.

const mark = (which, at) => {
  if (at === null) return;
  marks[which] = Math.round(at);
  drawMarks();
};

const drag = (element, moved) => {
  element.addEventListener('pointerdown', (event) => {
    event.stopPropagation();
    element.setPointerCapture(event.pointerId);
    moved(timeUnder(event));
  });
  element.addEventListener('pointermove', (event) => {
    if (element.hasPointerCapture(event.pointerId)) moved(timeUnder(event));
  });
};

const STEP_MS = 5000;
const keys = {
  i: () => mark('in', player.shownAt),
  o: () => mark('out', player.shownAt),
  arrowleft: () => player.show(player.shownAt - STEP_MS),
  arrowright: () => player.show(player.shownAt + STEP_MS),
};

const onKey = (event) => {
  // The controls of the player have keys of their own, and so has the browser.
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key.startsWith('Arrow') && event.target !== part('playhead')) return;
  keys[event.key.toLowerCase()]?.();
};

const save = async () => {
  const [start, end] = [marks.in, marks.out].map((at) => new Date(at).toISOString());
  if (!host.known) {
    say(`No application that saves has opened this page. The clip would be from ${start} to ${end}.`);
    return;
  }
  part('save').disabled = true;
  say('Saving …');
  try {
    const answer = await host.ask('save', {buffer, start, end});
    say(typeof answer.text === 'string' ? answer.text : 'Saved.');
  } catch (error) {
    say(`Not saved: ${error.message}.`);
  }
  drawMarks();
};

// Addresses are short-lived: whoever gave us this one may give us the next.
const renewLater = (address) => {
  const left = address.expiresAt - Date.now();
  setTimeout(async () => {
    try {
      const answer = await host.ask('address', {buffer});
      const next = addressFrom(answer.url);
      if (next.buffer !== buffer) throw Error('the application gave the address of another buffer');
      player.renew(next);
      renewLater(next);
    } catch (error) {
      say(`This address ends at ${clock.format(address.expiresAt)}: ${error.message}.`);
    }
  }, Math.max(left / 2, left - RENEW_BEFORE_MS, RENEW_AT_LEAST_MS));
};

const begin = async () => {
  const address = addressFrom(location.hash);
  buffer = address.buffer;
  if (!window.Hls) throw Error('the player library hls.js is not in this image: see the page on the preview');
  if (!Hls.isSupported()) throw Error('this browser cannot play a buffer: it has no Media Source Extensions');
  const {origins} = await (await fetch('settings.json')).json();
  host = new Host(origins);
  player = new Player(part('video'), address, {changed: drawStretches, failed: say});
  drag(part('timeline'), (at) => {
    part('playhead').focus(); // so that the keys are ours, in a frame too
    player.show(at);
  });
  for (const which of ['in', 'out']) {
    drag(part(which), (at) => mark(which, at));
    part(`mark-${which}`).addEventListener('click', () => mark(which, player.shownAt));
  }
  part('save').addEventListener('click', save);
  for (const name of ['timeupdate', 'seeking', 'seeked']) part('video').addEventListener(name, drawPlayhead);
  addEventListener('keydown', onKey);
  addEventListener('hashchange', () => location.reload());
  renewLater(address);
};

begin().catch((error) => say(`${error.message}.`));
