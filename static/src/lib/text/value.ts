// What is worth knowing about a credential's value before it is saved: the same that the sanitizer would find.
const SHORT = 8;

export function warnings(value: string, secret: boolean): string[] {
  if (value === '') return [];
  const found: string[] = [];
  if (value !== value.trim()) found.push('It begins or ends with a space or a line break, which becomes part of the value.');
  if (!secret) return found;
  const length = [...value].length;
  if (length < SHORT) {
    found.push(`It has ${length} characters. Something so short may also occur by chance, and is redacted there too.`);
  }
  if (/^\d+$/.test(value)) found.push('It is only digits: the same digits in a result are redacted wherever they stand.');
  if (new Set(value).size <= 2 && length > 2) found.push('It repeats itself, so it can’t be told from other text.');
  return found;
}
