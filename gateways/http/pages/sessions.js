// Sessions of all gateways: what people's software has open, ending it, who is kept out, and what happened.
import * as api from './api.js';
import {ask, attribute, button, bytes, count, duration, h, program, rate, Rows, text} from './dom.js';

const field = (label, value) => h('div', {}, h('dt', {}, label), h('dd', {}, value));
const FACTS = ['From', 'Client', 'Now', 'Mean', 'In all', 'Files', 'Idle', 'Since'];
const clock = unix => new Date(unix * 1000).toLocaleTimeString([], {hour: '2-digit', minute: '2-digit', second: '2-digit'});

/** Asks for a line of text; null: no. */
function askText(question, yes) {
  return new Promise(resolve => {
    const input = h('input', {type: 'text', maxlength: 300, required: true, 'aria-label': question});
    const dialog = h('dialog', {class: 'ask'}, h('p', {}, question), h('form', {method: 'dialog'}, input, h('div', {class: 'row'},
      h('button', {value: 'no', formnovalidate: true}, 'Cancel'), h('button', {value: 'yes', class: 'primary'}, yes))));
    dialog.addEventListener('close', () => {
      resolve(dialog.returnValue === 'yes' ? input.value : null);
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

function sessionRow(first) {
  const id = first.id;
  const who = h('strong', {}), doing = h('p', {class: 'doing'});
  const values = Object.fromEntries(FACTS.map(label => [label, h('span', {})]));
  const act = (what, more) => api.post(`/api/gateway/sessions/${what}`, {id, ...more});
  const abort = button('Abort transfer', () => act('abort'), {class: 'plain'});
  const message = button('Message', async () => {
    const words = await askText(`A message to session ${id}`, 'Send');
    if (words) await act('message', {text: words});
  }, {class: 'plain'});
  const disconnect = button('Disconnect', async () => {
    if (await ask(`Disconnect session ${id}?`, 'Disconnect')) await act('disconnect', {ban_s: 0});
  });
  const ban = button('Ban for an hour', async () => {
    if (await ask(`Disconnect session ${id} and keep ${first.address} out for an hour?`, 'Ban')) await act('disconnect', {ban_s: 3600});
  }, {class: 'plain'});
  const element = h('li', {class: 'card session'}, h('div', {class: 'row'}, who, h('span', {class: 'acts'}, message, abort, disconnect, ban)), doing,
    h('dl', {class: 'facts'}, Object.entries(values).map(([label, value]) => field(label, value))));
  return {element, update(s) {
    text(who, `${s.protocol} · ${s.user ? `${s.user} (${s.privilege})` : s.privilege} · no. ${s.id}`);
    text(doing, s.transferring ? `${s.up ? '↑' : '↓'} ${s.path}` : s.command || '–');
    text(values.From, s.where === 'this computer' ? s.where : `${s.address} (${s.where})`);
    text(values.Client, program(s.client));
    attribute(values.Client, 'title', s.client);
    text(values.Now, `↓ ${rate(s.rate_out)}\n↑ ${rate(s.rate_in)}`);
    text(values.Mean, `↓ ${rate(s.mean_out)}\n↑ ${rate(s.mean_in)}`);
    text(values['In all'], `↓ ${bytes(s.bytes_out)}\n↑ ${bytes(s.bytes_in)}`);
    text(values.Files, `↓ ${s.files_out}\n↑ ${s.files_in}`);
    text(values.Idle, s.transferring ? 'transferring' : duration(s.idle_s));
    text(values.Since, `${clock(s.since)}\n${duration(s.since_s)}`);
    abort.hidden = !s.transferring || !s.can.abort;
    message.hidden = !s.can.message || (s.protocol === 'HTTP' && s.command !== 'GET /api/events'); // only a page that listens shows it
    disconnect.hidden = !s.can.disconnect;
    ban.hidden = !s.can.disconnect || s.where === 'this computer';
    attribute(element, 'data-id', s.id);
  }};
}

function banRow() {
  const label = h('span', {});
  let address = '';
  return {element: h('li', {}, h('div', {class: 'what'}, label), button('Let in again', () => api.remove('/api/gateway/bans', {address}), {class: 'plain'})), update(b) {
    ({address} = b);
    text(label, `${b.address}, ${b.left_s === null ? 'until it is let in' : `for ${duration(b.left_s)} more`}`);
  }};
}

const sentence = l => `${l.protocol}${l.session ? ` no. ${l.session}` : ''}${l.user ? ` ${l.user}` : ''} ${l.event}${l.path ? ` ${l.path}` : ''}${l.bytes ? `, ${bytes(l.bytes)}` : ''}${l.address ? `, ${l.address}` : ''}`;

function logRow() {
  const line = h('span', {});
  const element = h('li', {}, line);
  return {element, update: l => text(line, `${clock(l.at_ms / 1000)} ${sentence(l)}`)};
}

function statistics(place, totals, protocols) {
  const rows = [['All', totals], ...Object.entries(protocols)];
  place.replaceChildren(h('thead', {}, h('tr', {}, ['', 'Open', 'Most at once', 'Since the start', 'Refused', '↓', '↑', 'Files ↓', 'Files ↑'].map(t => h('th', {}, t)))),
    h('tbody', {}, rows.map(([name, t]) => h('tr', {}, [name, t.open, t.peak, t.sessions, t.refused, bytes(t.bytes_out), bytes(t.bytes_in), t.files_out, t.files_in].map(v => h('td', {}, String(v)))))));
}

export default {title: 'Sessions', async show(parts, context) {
  const list = h('ul', {class: 'plainlist'}), state = h('p', {class: 'dim'}), table = h('table', {}), banList = h('ul', {class: 'shares'}), log = h('ul', {class: 'log', tabindex: 0, 'aria-label': 'Log'});
  const rows = new Rows(list, s => s.id, sessionRow), bans = new Rows(banList, b => b.address, banRow), lines = new Rows(log, l => l.number, logRow);
  const banned = h('section', {hidden: true}, h('h2', {}, 'Kept out'), banList);
  context.watch('gateway', 2000, async signal => {
    const [told, happened] = await Promise.all([api.get('/api/gateway/sessions?limit=200', signal), api.get('/api/gateway/log', signal)]);
    rows.show(told.sessions);
    bans.show(told.bans);
    banned.hidden = !told.bans.length;
    statistics(table, told.totals, told.protocols);
    lines.show(happened.log.slice(-100).reverse());
    text(state, `${told.next ? 'The first 200 of ' : ''}${count(told.totals.open, 'session')} open.`);
  });
  return h('div', {}, h('h1', {}, 'Sessions'), h('p', {}, 'Browsers, scripts and other software that are connected to this node now. ↓ is what they took, ↑ what they brought.'),
    state, list, banned, h('section', {}, h('h2', {}, 'Statistics'), h('div', {class: 'wide', tabindex: 0, role: 'region', 'aria-label': 'Statistics'}, table)),
    h('section', {}, h('h2', {}, 'Log'), h('p', {class: 'dim'}, 'The last things that happened, newest first.'), log));
}};
