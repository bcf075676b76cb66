// What an execution writes, while it writes it: the server's events, every byte of which has passed the sanitizer.
import { address } from '../../lib/api/client';

/** Characters kept of a stream that is watched: the end of it. The whole is read when the execution has finished. */
const KEPT = 1024 * 1024;

export class Stream {
  stdout = $state('');
  stderr = $state('');
}

/** Follows the execution that `id` names, and none when it names none. To be called while a component is made. */
export function stream(id: () => string | undefined): Stream {
  const state = new Stream();
  const followed = $derived(id());
  $effect(() => {
    if (followed === undefined) return;
    const source = new EventSource(address(`executions/${encodeURIComponent(followed)}/events`));
    const add = (name: 'stdout' | 'stderr') => (event: MessageEvent<string>) => {
      state[name] = (state[name] + text(event.data)).slice(-KEPT);
    };
    source.addEventListener('stdout', add('stdout'));
    source.addEventListener('stderr', add('stderr'));
    source.addEventListener('done', () => source.close());
    return () => source.close();
  });
  return state;
}

/** The text of an event: JSON, as a string or in an object. */
function text(data: string): string {
  try {
    const read: unknown = JSON.parse(data);
    if (typeof read === 'string') return read;
    if (typeof read === 'object' && read !== null && 'text' in read) return String(read.text);
  } catch {
    // Not JSON: the text itself.
  }
  return data;
}
