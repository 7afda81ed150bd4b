// Settings and limits, accounts, what is signed in, tidying up.
import * as api from './api.js';
import {ask, button, bytes, count, duration, h, notice, program, rate, Rows, text} from './dom.js';

const FIELDS = [
  ['upload_rate', 'Most upload, in kB/s', 1000, '0 is no limit'],
  ['download_rate', 'Most download, in kB/s', 1000, '0 is no limit'],
  ['quota', 'Most space for fetched content, in MB', 1e6, '0 is no limit; what is pinned is never removed'],
  ['timeout_s', 'How long to look for content nobody has, in seconds', 1, ''],
  ['connections', 'Most connections of browsers and other software', 1, 'this node’s gateways together'],
  ['connections_per_address', 'Of these from one address', 1, 'other computers only; this one has no limit of its own'],
];

function limits(now) {
  const inputs = FIELDS.filter(([name]) => now[name] !== undefined).map(([name, label, unit, hint]) => ({name, unit,
    input: h('input', {id: name, type: 'number', min: 0, step: 'any', inputmode: 'decimal', required: true, value: String((now[name] || 0) / unit)}), label, hint}));
  const form = h('form', {class: 'card'}, h('h2', {}, 'Limits'),
    inputs.map(i => [h('label', {for: i.name}, i.label), i.input, i.hint && h('p', {class: 'dim'}, i.hint)]), h('button', {class: 'primary'}, 'Save'),
    h('p', {class: 'dim'}, 'They hold at once, and are kept in the node’s shoal.ini.'));
  form.addEventListener('submit', async event => {
    event.preventDefault();
    try {
      await api.post('/api/settings', Object.fromEntries(inputs.map(i => [i.name, Math.round(Number(i.input.value) * i.unit)])));
      notice('Saved.');
    } catch (error) {
      notice(error.message, true);
    }
  });
  return form;
}

function accounts(list, reload) {
  const name = h('input', {id: 'account', autocomplete: 'off', required: true, autocapitalize: 'off', pattern: '[a-z0-9][a-z0-9._-]*', title: 'a-z, 0-9, “.”, “_”, “-”'});
  const password = h('input', {id: 'secret', type: 'password', autocomplete: 'new-password', required: true, minlength: 8});
  const kind = h('select', {id: 'privilege'}, h('option', {value: 'user'}, 'User: reads, and writes in its own folder'), h('option', {value: 'owner'}, 'Owner: also controls this node'));
  const form = h('form', {}, h('label', {for: 'account'}, 'Name'), name, h('label', {for: 'secret'}, 'Password, at least 8 characters'), password,
    h('label', {for: 'privilege'}, 'May'), kind, h('button', {class: 'primary'}, 'Add the account'));
  form.addEventListener('submit', async event => {
    event.preventDefault();
    try {
      await api.post('/api/accounts', {name: name.value, password: password.value, privilege: kind.value});
      form.reset();
      await reload();
    } catch (error) {
      notice(error.message, true);
    }
  });
  return h('section', {class: 'card'}, h('h2', {}, 'Accounts'), h('p', {class: 'dim'}, 'For people who come from other computers, and for writing. On this computer you need none.'),
    h('ul', {class: 'shares'}, list.map(a => h('li', {}, h('div', {class: 'what'}, h('strong', {}, a.name), h('span', {class: 'dim'}, ` ${a.privilege}`)),
      button('Remove', async () => {
        if (!(await ask(`Remove the account “${a.name}”? Its files stay.`, 'Remove'))) return;
        await api.remove('/api/accounts', {name: a.name});
        await reload();
      }, {class: 'plain'})))), form);
}

function signins(context) {
  const list = h('ul', {class: 'shares'}), none = h('p', {class: 'dim'}, 'Nobody is signed in.');
  const rows = new Rows(list, s => s.id, first => {
    const label = h('span', {});
    return {element: h('li', {}, h('div', {class: 'what'}, label), button(first.current ? 'Sign out' : 'End it', async () => {
      if (first.current) {
        await api.signOut();
        location.reload();
      } else {
        await api.remove('/api/signins', {id: first.id});
      }
    }, {class: 'plain'})), update: s => text(label, `${s.user || 'owner'}: ${s.token ? 'token ' : ''}${program(s.label)}, from ${s.from || '–'}`)};
  });
  context.watch('', 15000, async signal => {
    const {signins: all} = await api.get('/api/signins', signal);
    rows.show(all.slice(0, 100));
    none.hidden = all.length > 0;
  });
  return h('section', {class: 'card'}, h('h2', {}, 'Signed in'), none, list);
}

/** Where the node cannot be told while it runs: what holds, and where it is changed. */
function limitsNow(status) {
  const cap = n => (n ? rate(n) : 'no limit');
  return h('section', {class: 'card'}, h('h2', {}, 'Limits'), h('dl', {class: 'facts'}, fact('Most upload', cap(status.rates.up_cap)),
    fact('Most download', cap(status.rates.down_cap)), fact('Most space for fetched content', status.quota ? bytes(status.quota) : 'no limit')),
  h('p', {class: 'dim'}, 'They are set in ', h('span', {class: 'code'}, `${status.home}/shoal.ini`), ' and hold from the next start of the node on.'));
}

const fact = (label, value) => h('div', {}, h('dt', {}, label), h('dd', {}, value));

function about(status) {
  return h('section', {class: 'card'}, h('h2', {}, 'This node'), h('dl', {class: 'facts'}, fact('Node', h('span', {class: 'code'}, status.node)),
    fact('Network', `${status.network.private ? 'private' : 'open'}, ${status.network.id}`), fact('Home', status.home), fact('Version', status.version),
    fact('Running for', duration(status.uptime_s)), fact('Listens on', status.listen.join(', ') || 'nothing'), fact('From outside', status.reachable.reason || status.reachable.state),
    fact('Pages at', status.http || '–'), fact('Stored', status.usage === null ? 'being counted' : bytes(status.usage)), fact('Memory', bytes(status.memory_rss)),
    fact('Clock', status.clock.ok ? 'right' : `off by ${duration(Math.abs(status.clock.off_s))}; set it`)),
  h('div', {class: 'row'}, button('Tidy up', async () => {
    const would = await api.post('/api/gc', {dry_run: true});
    if (!would.objects) notice('Nothing to remove.');
    else if (await ask(`Remove ${count(would.objects, 'object')}, ${bytes(would.bytes)}, that nothing shares or pins?`, 'Remove')) {
      const done = await api.post('/api/gc', {dry_run: false});
      notice(`${bytes(done.bytes)} removed.`);
    }
  }), button('Stop the node', async () => {
    if (!(await ask('Stop this node? These pages end with it; `shoal up` starts it again.', 'Stop it'))) return;
    await api.post('/api/down');
    notice('The node has stopped.');
  }, {class: 'danger'})));
}

export default {title: 'Settings', async show(parts, context) {
  const part = path => api.maybe(path).catch(error => ({failed: error.message}));
  const [status, settings, people] = await Promise.all([api.get('/api/status'), part('/api/settings'), part('/api/accounts')]);
  const place = h('div', {});
  const showAccounts = all => place.replaceChildren(accounts(all, async () => showAccounts((await api.get('/api/accounts')).accounts)));
  if (people && people.accounts) showAccounts(people.accounts);
  return h('div', {}, h('h1', {}, 'Settings'), h('div', {class: 'two'}, h('div', {}, settings && !settings.failed ? limits(settings) : limitsNow(status), about(status)),
    h('div', {}, place, people && people.accounts && signins(context))));
}};
