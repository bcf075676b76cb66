// Puts a text on the clipboard. Over plain HTTP from another machine browsers offer no clipboard: there the old way, by a
// selection, still works. Nothing is read from the clipboard, and nothing is taken off it.
export async function copy(text: string): Promise<boolean> {
  if (window.isSecureContext) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // Refused: the other way may still work.
    }
  }
  const field = document.createElement('textarea');
  field.value = text;
  field.className = 'off-screen';
  // Inside an open dialog, since nothing outside it can be selected.
  const place = document.querySelector('dialog[open]') ?? document.body;
  const before = document.activeElement;
  place.append(field);
  field.select();
  const done = document.execCommand('copy');
  field.remove();
  if (before instanceof HTMLElement) before.focus();
  return done;
}
