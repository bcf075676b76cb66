// What the record says of a host that a script asked for.

import type { Egress } from '../api/types';
import { bytes } from './format';

const reasons: Record<string, string> = {
  not_listed: 'Not among the hosts of its profile',
  other_port: 'Listed, but not with this port',
  private_address: 'In a private network that no entry names',
  loopback: 'This machine',
  link_local_or_metadata: 'Link-local, or cloud metadata',
  special_address: 'No host has such an address',
  airlock_itself: 'Airlock’s own machine',
  not_tcp: 'A datagram: scripts have TCP and name lookups',
};

const times = (count: number, one: string, many: string) => (count > 1 ? `${String(count)} ${many}, ` : one);

/** One line about an entry: why it was refused, or what it came to. A lookup of a name has no port. */
export function about(entry: Egress): string {
  const count = entry.count ?? 1;
  if (!entry.allowed) {
    const reason = reasons[entry.reason ?? ''] ?? entry.reason ?? 'Refused';
    return count > 1 ? `${reason}, ${String(count)} times` : reason;
  }
  if (entry.port === null) return count > 1 ? `Looked up ${String(count)} times` : 'Looked up';
  const sent = bytes(entry.bytes_sent ?? 0);
  const received = bytes(entry.bytes_received ?? 0);
  return `${times(count, '', 'connections')}sent ${sent}, received ${received}`;
}
