// Calls of the review API.

import * as auth from './auth.js';

// What the gateway itself refuses has no code.
const GATEWAY = { 401: 'unauthorized', 429: 'too_many_requests' };

/** Problem is an RFC 9457 answer, or a connection that failed (code "offline"). */
export class Problem extends Error {
  constructor(status, body) {
    super(body.code || String(status));
    this.status = status;
    this.code = body.code || GATEWAY[status] || '';
    this.body = body;
    this.fields = body.fields || [];
  }
}

async function call(method, path, body) {
  const init = { method, headers: { Accept: 'application/json', Authorization: `Bearer ${await auth.token()}` }, cache: 'no-store', credentials: 'omit' };
  if (body !== undefined) {
    init.headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, init);
  } catch {
    throw new Problem(0, { code: 'offline' });
  }
  const got = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, got);
  return got;
}

export const me = () => call('GET', 'me');
export const reasons = () => call('GET', 'reasons');
export const agreement = () => call('GET', 'agreement');

export function queue({ order, after, limit }) {
  const query = new URLSearchParams({ order, limit: String(limit) });
  if (after) query.set('after', after);
  return call('GET', `queue?${query}`);
}

const at = (id, part = '') => `cases/${encodeURIComponent(id)}${part}`;

export const read = (id) => call('GET', at(id));
export const take = (id) => call('POST', at(id, '/reservation'), {});
export const release = (id) => call('DELETE', at(id, '/reservation'));
export const openPhoto = (id, n) => call('POST', at(id, '/photo'), { n });
export const decide = (id, decision) => call('POST', at(id, '/decisions'), decision);
export const audit = (id) => call('GET', at(id, '/audit'));
