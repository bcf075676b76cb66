// Every call that the pages make, by what it does.
import { call, type Options } from './client';
import type {
  Credential,
  Execution,
  ExecutionStatus,
  KeyedProfile,
  Limits,
  ListedExecution,
  Overview,
  Profile,
  ServerInfo,
  Session,
} from './types';

type Signal = AbortSignal | undefined;
const admin = <T>(method: string, path: string, options?: Options) => call<T>(method, `api/admin/${path}`, options);
const segment = encodeURIComponent;

/** All pages of a list, one after the other: lists of credentials and profiles have at most 10,000 items. */
async function all<T>(path: string, member: string, signal: Signal): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const query = cursor === undefined ? '' : `?cursor=${segment(cursor)}`;
    const page: Record<string, unknown> = await admin('GET', path + query, { signal });
    items.push(...(page[member] as T[]));
    cursor = page['next_cursor'] as string | undefined;
  } while (cursor !== undefined);
  return items;
}

export const session = {
  status: () => call<{ setup_required: boolean; signed_in: boolean }>('GET', 'api/admin/status'),
  setup: (password: string) => admin<void>('POST', 'setup', { body: { password }, anonymous: true }),
  login: (password: string) => admin<void>('POST', 'login', { body: { password }, anonymous: true }),
  logout: () => admin<void>('POST', 'logout', { anonymous: true }),
  changePassword: (current_password: string, new_password: string) =>
    admin<void>('POST', 'password', { body: { current_password, new_password } }),
  list: async (signal: Signal) => (await admin<{ sessions: Session[] }>('GET', 'sessions', { signal })).sessions,
  end: (id: string) => admin<void>('DELETE', `sessions/${segment(id)}`),
};

export interface CredentialChange {
  description?: string;
  value?: string;
  secret?: boolean;
}

export const credentials = {
  list: (signal?: Signal) => all<Credential>('credentials', 'credentials', signal),
  create: (name: string, change: CredentialChange) =>
    admin<Credential>('POST', 'credentials', { body: { name, ...change } }),
  update: (name: string, change: CredentialChange) =>
    admin<Credential>('PUT', `credentials/${segment(name)}`, { body: change }),
  remove: (name: string) => admin<void>('DELETE', `credentials/${segment(name)}`),
};

export interface ProfileChange {
  description?: string;
  expires_at?: string | null;
  allowed_hosts?: string[] | null;
  limits?: Partial<Limits>;
  on_leak?: 'record' | 'suspend';
}

const profile = (id: string, action = '') => `profiles/${segment(id)}${action}`;

export const profiles = {
  list: (signal?: Signal) => all<Profile>('profiles', 'profiles', signal),
  one: (id: string, signal?: Signal) => admin<Profile>('GET', profile(id), { signal }),
  create: (description: string) => admin<Profile>('POST', 'profiles', { body: { description } }),
  update: (id: string, change: ProfileChange) => admin<Profile>('PUT', profile(id), { body: change }),
  remove: (id: string) => admin<void>('DELETE', profile(id)),
  attach: (id: string, names: string[]) =>
    admin<Profile>('POST', profile(id, '/credentials'), { body: { credentials: names } }),
  detach: (id: string, names: string[]) =>
    admin<Profile>('DELETE', profile(id, '/credentials'), { body: { credentials: names } }),
  lock: (id: string) => admin<KeyedProfile>('POST', profile(id, '/lock')),
  regenerate: (id: string) => admin<KeyedProfile>('POST', profile(id, '/regenerate-key')),
  revoke: (id: string) => admin<Profile>('POST', profile(id, '/revoke')),
  suspend: (id: string) => admin<Profile>('PUT', profile(id), { body: { suspended: true } }),
  /** Lifts a suspension. */
  resume: (id: string) => admin<Profile>('PUT', profile(id), { body: { suspended: false } }),
};

export interface ExecutionFilter {
  profile?: string | undefined;
  status?: ExecutionStatus | undefined;
  since?: string | undefined;
  cursor?: string | undefined;
  limit?: number;
}

export interface ExecutionPage {
  executions: ListedExecution[];
  next_cursor?: string;
}

const execution = (id: string, action = '') => `executions/${segment(id)}${action}`;

export const executions = {
  page(filter: ExecutionFilter, signal?: Signal) {
    const query = new URLSearchParams();
    if (filter.profile) query.set('profile_id', filter.profile);
    if (filter.status) query.set('status', filter.status);
    if (filter.since) query.set('since', filter.since);
    if (filter.cursor) query.set('cursor', filter.cursor);
    query.set('limit', String(filter.limit ?? 100));
    return admin<ExecutionPage>('GET', `executions?${query.toString()}`, { signal });
  },
  one: (id: string, signal?: Signal) => admin<Execution>('GET', execution(id), { signal }),
  /** Answers when the status changes, or after so many seconds. */
  wait: (id: string, seconds: number, signal?: Signal) =>
    call<{ status: ExecutionStatus }>('GET', `executions/${segment(id)}?wait=${seconds}`, { signal }),
  cancel: (id: string) => admin<unknown>('POST', execution(id, '/cancel')),
  runAgain: (id: string) => admin<{ execution_id: string }>('POST', execution(id, '/run-again')),
  remove: (id: string) => admin<void>('DELETE', execution(id)),
};

export const server = {
  overview: (window: string, signal?: Signal) => admin<Overview>('GET', `overview?window=${window}`, { signal }),
  info: (signal?: Signal) => admin<ServerInfo>('GET', 'server', { signal }),
  health: () => call<{ version: string }>('GET', 'health'),
};
