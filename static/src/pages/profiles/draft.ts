// A profile's settings as they are typed, and what of them differs from how they are.
import type { ProfileChange } from '../../lib/api/endpoints';
import type { Limits, Profile } from '../../lib/api/types';

export type Reach = 'all' | 'listed' | 'none';

export interface Draft {
  description: string;
  reach: Reach;
  /** One a line. */
  hosts: string;
  /** As a `datetime-local` field has it; empty for never. */
  expires: string;
  on_leak: 'record' | 'suspend';
  /** In the units of `UNITS`; empty for the server's default. */
  limits: Record<keyof Limits, string>;
}

const MIB = 1024 * 1024;
/** How a limit is shown: its words, its unit, and how many of the API's units that is. */
export const UNITS: Record<keyof Limits, { name: string; unit: string; size: number }> = {
  memory_bytes: { name: 'Memory', unit: 'MiB', size: MIB },
  cpu_seconds: { name: 'CPU time', unit: 's', size: 1 },
  processes: { name: 'Processes', unit: '', size: 1 },
  open_files: { name: 'Open files', unit: '', size: 1 },
  tmp_bytes: { name: 'Temporary space', unit: 'MiB', size: MIB },
  output_bytes: { name: 'Output kept', unit: 'KiB', size: 1024 },
};
const NAMES = Object.keys(UNITS) as (keyof Limits)[];

export function draft(profile: Profile): Draft {
  const hosts = profile.allowed_hosts;
  const limits = NAMES.map((name) => {
    const set = profile.limits[name];
    return [name, set === null ? '' : String(set / UNITS[name].size)];
  });
  return {
    description: profile.description,
    reach: hosts === null ? 'all' : hosts.length === 0 ? 'none' : 'listed',
    hosts: (hosts ?? []).join('\n'),
    expires: profile.expires_at === null ? '' : local(profile.expires_at),
    on_leak: profile.on_leak,
    limits: Object.fromEntries(limits) as Draft['limits'],
  };
}

/** A moment in the reader's zone, to the minute. */
export function local(iso: string): string {
  const at = new Date(iso);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
}

export function hostList(draft: Pick<Draft, 'reach' | 'hosts'>): string[] | null {
  if (draft.reach === 'all') return null;
  if (draft.reach === 'none') return [];
  return draft.hosts.split(/[\s,]+/).filter(Boolean);
}

/** What the API has to be told. A number that is none goes as it was typed: the server says what is wrong with it. */
export function changes(profile: Profile, typed: Draft): ProfileChange {
  const before = draft(profile);
  const change: ProfileChange = {};
  if (typed.description !== before.description) change.description = typed.description;
  const hosts = hostList(typed);
  if (JSON.stringify(hosts) !== JSON.stringify(profile.allowed_hosts)) change.allowed_hosts = hosts;
  if (typed.expires !== before.expires) {
    change.expires_at = typed.expires === '' ? null : new Date(typed.expires).toISOString();
  }
  if (typed.on_leak !== before.on_leak) change.on_leak = typed.on_leak;
  if (NAMES.some((name) => typed.limits[name] !== before.limits[name])) {
    // They are replaced as a whole.
    change.limits = Object.fromEntries(NAMES.map((name) => [name, limit(typed.limits[name], UNITS[name].size)]));
  }
  return change;
}

function limit(text: unknown, size: number): number | null {
  const typed = String(text ?? '').trim();
  if (typed === '') return null;
  const number = Math.round(Number(typed) * size);
  // What is no number would go as null, which is the default: it goes as it is, and is refused.
  return Number.isFinite(number) ? number : (typed as unknown as number);
}
