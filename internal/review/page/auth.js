// Signing in by OpenID Connect: authorization code with PKCE (RFC 7636, S256),
// state and nonce. Tokens are kept in the tab alone, and never in an address.

const SIGNING_IN = 'signing-in'; // sessionStorage: what the answer is checked against
const SIGNED_IN = 'signed-in'; // sessionStorage: the tokens

let settings = null; // of the service: issuer, client_id, audience, scope
let issuer = null; // its discovery document
let session = null; // { access, refresh, expires, name }

/** Failed is a sign-in that did not come about; code is of the catalogue. */
export class Failed extends Error {
  constructor(code, detail = '') {
    super(detail || code);
    this.code = code;
  }
}

const base64url = (bytes) => btoa(String.fromCharCode(...new Uint8Array(bytes))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));
const take = (name) => {
  const value = JSON.parse(sessionStorage.getItem(name) || 'null');
  sessionStorage.removeItem(name);
  return value;
};

async function json(url, init) {
  let answer;
  try {
    answer = await fetch(url, { cache: 'no-store', credentials: 'omit', ...init });
  } catch {
    throw new Failed('offline', url);
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Failed('refused', body.error || String(answer.status));
  return body;
}

/** here is the page's own address, to which the issuer sends people back. */
const here = () => location.origin + location.pathname;

async function discover() {
  if (issuer) return;
  settings = await json('settings');
  const found = await json(`${settings.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
  if (found.issuer !== settings.issuer) throw new Failed('issuer', found.issuer);
  issuer = found;
}

/**
 * start takes up the tab's session, or ends a sign-in whose answer is in the
 * address. It returns whether somebody is signed in.
 */
export async function start() {
  const query = new URLSearchParams(location.search);
  if (query.has('state')) {
    const asked = take(SIGNING_IN);
    // Before anything else: a reload, or a copied address, has no code in it.
    history.replaceState(null, '', location.pathname + (asked?.hash || ''));
    if (!asked || query.get('state') !== asked.state) throw new Failed('state');
    if (query.has('error')) throw new Failed('refused', query.get('error'));
    await discover();
    if (query.has('iss') && query.get('iss') !== settings.issuer) throw new Failed('issuer', query.get('iss')); // RFC 9207
    await tokens({ grant_type: 'authorization_code', code: query.get('code'), redirect_uri: here(), code_verifier: asked.verifier }, asked.nonce);
    return true;
  }
  session = JSON.parse(sessionStorage.getItem(SIGNED_IN) || 'null');
  if (session && Date.now() > session.expires) session = null;
  return session !== null;
}

/** signIn leaves for the issuer. */
export async function signIn() {
  await discover();
  const asked = { state: random(), nonce: random(), verifier: random(), hash: location.hash };
  sessionStorage.setItem(SIGNING_IN, JSON.stringify(asked));
  const challenge = base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(asked.verifier)));
  const address = new URL(issuer.authorization_endpoint);
  const ask = {
    response_type: 'code', client_id: settings.client_id, redirect_uri: here(), scope: settings.scope,
    state: asked.state, nonce: asked.nonce, code_challenge: challenge, code_challenge_method: 'S256',
  };
  for (const [name, value] of Object.entries(ask)) address.searchParams.set(name, value);
  location.assign(address);
}

/** claims reads a token's payload. It came straight from the issuer over TLS, so its signature need not be checked (OpenID Connect Core, 3.1.3.7). */
function claims(token) {
  const part = token.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(part), (c) => c.charCodeAt(0))));
}

async function tokens(grant, nonce) {
  const got = await json(issuer.token_endpoint, {
    method: 'POST', headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ client_id: settings.client_id, ...grant }),
  });
  let name = session?.name || '';
  if (got.id_token) {
    const id = claims(got.id_token);
    const forUs = [id.aud].flat().includes(settings.client_id);
    if (id.iss !== settings.issuer || !forUs || (nonce && id.nonce !== nonce)) throw new Failed('token');
    name = id.name || id.preferred_username || id.email || '';
  } else if (nonce) {
    throw new Failed('token');
  }
  session = { access: got.access_token, refresh: got.refresh_token || session?.refresh, expires: Date.now() + (got.expires_in || 300) * 1000, name };
  sessionStorage.setItem(SIGNED_IN, JSON.stringify(session));
}

/** token is the access token for the next request; '' where nobody is signed in. */
export async function token() {
  if (session?.refresh && session.expires - Date.now() < 30_000) {
    try {
      await discover();
      await tokens({ grant_type: 'refresh_token', refresh_token: session.refresh });
    } catch {
      session.refresh = undefined; // the API says 401, and the person signs in again
    }
  }
  return session?.access || '';
}

export const name = () => session?.name || '';

/** expires is when the session ends unless it is renewed, in milliseconds since 1970. */
export const expires = () => (session && !session.refresh ? session.expires : Infinity);

/** signOut forgets the tokens, and ends the issuer's session where it can be ended. */
export async function signOut() {
  session = null;
  sessionStorage.clear();
  try {
    await discover();
  } catch {
    issuer = null;
  }
  if (!issuer?.end_session_endpoint) {
    location.assign(here());
    return;
  }
  const address = new URL(issuer.end_session_endpoint);
  address.searchParams.set('client_id', settings.client_id);
  address.searchParams.set('post_logout_redirect_uri', here());
  location.assign(address);
}
