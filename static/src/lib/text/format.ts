// Numbers, times and sizes as people read them.
const BYTE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];

export function bytes(count: number): string {
  let [size, unit] = [count, 0];
  while (size >= 1024 && unit < BYTE_UNITS.length - 1) [size, unit] = [size / 1024, unit + 1];
  return `${unit === 0 || size >= 100 ? Math.round(size) : Number(size.toFixed(1))} ${BYTE_UNITS[unit] ?? ''}`;
}

/** 7 ms, 1.25 s, 3 min 20 s, 2 h 5 min, 3 d 4 h. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 59_950) return `${Number((ms / 1000).toFixed(ms < 10_000 ? 2 : 1))} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return joined(seconds, 60, 'min', 1, 's');
  if (seconds < 86_400) return joined(seconds, 3600, 'h', 60, 'min');
  return joined(seconds, 86_400, 'd', 3600, 'h');
}

function joined(seconds: number, whole: number, unit: string, part: number, partUnit: string): string {
  const rest = Math.floor((seconds % whole) / part);
  const first = `${Math.floor(seconds / whole)} ${unit}`;
  return rest > 0 ? `${first} ${rest} ${partUnit}` : first;
}

/** How far a moment is from now, roughly: "12 s ago", "in 3 d". */
export function distance(at: number, now: number): string {
  const seconds = Math.round((now - at) / 1000);
  const far = Math.abs(seconds);
  if (far < 2) return 'just now';
  const text =
    far < 60
      ? `${far} s`
      : far < 3600
        ? `${Math.floor(far / 60)} min`
        : far < 2 * 86_400
          ? `${Math.floor(far / 3600)} h`
          : `${Math.floor(far / 86_400)} d`;
  return seconds > 0 ? `${text} ago` : `in ${text}`;
}

/** A moment in full, in the reader's zone. */
export function moment(iso: string): string {
  return new Date(iso).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'long' });
}

export function count(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString('en')} ${number === 1 ? one : many}`;
}

/** The start and the end of an id: enough to tell two apart in a list. */
export function shortId(id: string): string {
  return id.length <= 16 ? id : `${id.slice(0, 10)}…${id.slice(-4)}`;
}
