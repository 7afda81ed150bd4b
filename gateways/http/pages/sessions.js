// Sessions of all gateways: what people's software has open, and ending it.
import * as api from './api.js';
import {ask, attribute, button, bytes, count, duration, h, rate, Rows, text} from './dom.js';

const field = (label, value) => h('div', {}, h('dt', {}, label), h('dd', {}, value));

function sessionRow(first) {
  const id = first.id;
  const who = h('strong', {}), doing = h('p', {class: 'doing'});
  const values = Object.fromEntries(['Where', 'Client', 'Now', 'Mean', 'In all', 'Files', 'Idle', 'Here for'].map(label => [label, h('span', {})]));
  const abort = button('Abort transfer', () => api.post('/api/gateway/sessions/abort', {id}), {class: 'plain'});
  const end = (seconds, question, yes) => async () => {
    if (await ask(question, yes)) await api.post('/api/gateway/sessions/disconnect', {id, ban_s: seconds});
  };
  const element = h('li', {class: 'card'}, h('div', {class: 'row'}, who, abort,
    button('Disconnect', end(0, `Disconnect session ${id}?`, 'Disconnect')),
    button('Ban for an hour', end(3600, `Disconnect session ${id} and refuse ${first.address} for an hour?`, 'Ban'), {class: 'plain'})),
  doing, h('dl', {class: 'facts'}, Object.entries(values).map(([label, value]) => field(label, value))));
  return {element, update(s) {
    text(who, `${s.protocol.toUpperCase()} ${s.user || (s.privilege === 'owner' ? 'owner' : 'visitor')} #${s.id}`);
    text(doing, s.command || '–');
    text(values.Where, `${s.address}${s.where ? ` (${s.where})` : ''}`);
    text(values.Client, s.client || '–');
    text(values.Now, `↓ ${rate(s.rate_out)} ↑ ${rate(s.rate_in)}`);
    text(values.Mean, `↓ ${rate(s.mean_out)} ↑ ${rate(s.mean_in)}`);
    text(values['In all'], `↓ ${bytes(s.bytes_out)} ↑ ${bytes(s.bytes_in)}`);
    text(values.Files, `↓ ${s.files_out} ↑ ${s.files_in}`);
    text(values.Idle, s.transferring ? 'transferring' : duration(s.idle_s));
    text(values['Here for'], duration(s.since_s));
    abort.hidden = !s.transferring;
    attribute(element, 'data-id', s.id);
  }};
}

export default {title: 'Sessions', async show(parts, context) {
  const list = h('ul', {class: 'plainlist'}), state = h('p', {class: 'dim'});
  const rows = new Rows(list, s => s.id, sessionRow);
  context.watch('gateway', 2000, async signal => {
    const told = await api.maybe('/api/gateway/sessions', signal);
    if (!told) {
      text(state, 'This version of the node does not tell who is connected to its gateways. The nodes it is connected to are under Peers.');
      return;
    }
    const {sessions, totals} = told;
    rows.show(sessions.slice(0, 200));
    const all = totals && totals.sessions !== undefined ? ` ${count(totals.sessions, 'session')} since the node started, ${totals.refused ?? 0} refused.` : '';
    text(state, `${sessions.length > 200 ? 'The first 200 of ' : ''}${count(sessions.length, 'session')} open.${all}`);
  });
  return h('section', {}, h('h1', {}, 'Sessions'), h('p', {}, 'Browsers, scripts and other software that are connected to this node now. ↓ is what they took, ↑ what they brought.'),
    state, list);
}};
