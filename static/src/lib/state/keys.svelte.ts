// The keyboard: `g` and a letter goes to a page, `/` to the page's filter, `n` makes a new one, `?` shows all this, Ctrl-K
// or Cmd-K finds anything. Nothing happens while somebody types, nor under a dialog.
import { PLACES } from '../../pages/shell/places';
import { href, router } from './router.svelte';

const SECOND_KEY_MS = 1500;

class Keys {
  palette = $state(false);
  help = $state(false);
  #leading = 0;

  pressed(event: KeyboardEvent): void {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === 'k') {
      if (document.querySelector('dialog[open]')) return;
      event.preventDefault();
      this.palette = true;
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) return;
    if (document.querySelector('dialog[open]')) return;

    const goes = Date.now() - this.#leading < SECOND_KEY_MS;
    this.#leading = 0;
    if (goes) {
      const place = PLACES.find(({ key }) => key === event.key);
      if (place) router.go(href(place.page));
    } else if (event.key === 'g') {
      this.#leading = Date.now();
    } else if (event.key === '?') {
      this.help = true;
    } else if (event.key === '/') {
      press('[data-key="/"]', event);
    } else if (event.key === 'n') {
      press('[data-key="n"]', event);
    }
  }
}

function press(selector: string, event: KeyboardEvent): void {
  const found = document.querySelector<HTMLElement>(selector);
  if (!found) return;
  event.preventDefault();
  if (found instanceof HTMLInputElement) found.focus();
  else found.click();
}

function typing(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

export const keys = new Keys();
