// Which page is shown: what stands after `#` in the address, so that no path of the API is taken and nothing of it is sent
// to the server or to another site.

export interface Place {
  page: string;
  id: string | undefined;
  query: URLSearchParams;
}

export function parse(hash: string): Place {
  const [path = '', query = ''] = hash.replace(/^#\/?/, '').split('?', 2);
  const [page = '', id] = path.split('/').map(decode);
  return { page: page || 'overview', id: id || undefined, query: new URLSearchParams(query) };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

class Router {
  place = $state.raw(parse(location.hash));

  constructor() {
    addEventListener('hashchange', () => {
      this.place = parse(location.hash);
    });
  }

  go(href: string): void {
    location.hash = href;
  }

  /** Changes what is filtered by, without a step in the browser's history. */
  filter(changes: Record<string, string | undefined>): void {
    const query = new URLSearchParams(this.place.query);
    for (const [name, value] of Object.entries(changes)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    const text = query.toString();
    history.replaceState(null, '', `#/${this.place.page}${text && `?${text}`}`);
    this.place = parse(location.hash);
  }
}

export const router = new Router();
export const href = (page: string, id?: string): string => `#/${page}${id ? `/${encodeURIComponent(id)}` : ''}`;
