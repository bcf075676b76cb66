// The components that show what came from somewhere else, in a document.
import { fireEvent, render, screen, within } from '@testing-library/svelte';
import { describe, expect, it, vi } from 'vitest';
import { ExactNumber } from '../api/client';
import Code from './Code.svelte';
import Tree from './Tree.svelte';
import Words from './Words.svelte';

const MARKUP = '<img src=x onerror=alert(1)><script>alert(2)</' + 'script>{{x}}';

describe('what somebody else wrote', () => {
  it('stays text, marked as the agent’s', () => {
    const { container } = render(Words, { text: `${MARKUP}\u202e`, by: 'agent' });
    expect(container.querySelectorAll('img, script')).toHaveLength(0);
    expect(container.textContent).toContain(MARKUP);
    expect(container.textContent).toContain('agent’s words');
    expect(screen.getByTitle('right-to-left override').textContent).toBe('U+202E');
  });

  it('folds when it is long, and shows all of it on demand', async () => {
    const { container } = render(Words, { text: 'long '.repeat(200) });
    expect(container.textContent.length).toBeLessThan(400);
    await fireEvent.click(screen.getByRole('button', { name: 'Show all' }));
    expect(container.textContent.length).toBeGreaterThan(1000);
  });
});

describe('code', () => {
  it('is text, with the line that failed marked', () => {
    const { container } = render(Code, { text: `print("${MARKUP}")\nraise x`, label: 'Script', marked: 2 });
    expect(container.querySelectorAll('img, script')).toHaveLength(0);
    expect(container.textContent).toContain(MARKUP);
    const marked = container.querySelectorAll('.marked');
    expect(marked).toHaveLength(1);
    expect(marked[0]?.textContent).toContain('raise x');
  });

  it('has few rows in the page, however many lines there are', () => {
    const { container } = render(Code, { text: 'line\n'.repeat(100_000), label: 'Output', plain: true });
    expect(container.querySelectorAll('.row').length).toBeLessThan(200);
  });
});

describe('a result', () => {
  it('unfolds a hundred items at a time', async () => {
    render(Tree, { value: Array.from({ length: 250 }, (_, index) => index) });
    expect(screen.getAllByRole('listitem')).toHaveLength(101);
    await fireEvent.click(screen.getByRole('button', { name: /Show 100 more/ }));
    expect(screen.getAllByRole('listitem')).toHaveLength(201);
  });

  it('shows numbers as they came and names as text', () => {
    const { container } = render(Tree, { value: { [MARKUP]: new ExactNumber('1.50'), deep: { deeper: { x: 1 } } } });
    expect(container.querySelectorAll('img, script')).toHaveLength(0);
    expect(container.textContent).toContain('1.50');
    const deep = screen.getByRole('button', { name: /deeper/ });
    expect(deep.getAttribute('aria-expanded')).toBe('false');
  });

  it('shows a long string in part', async () => {
    const { container } = render(Tree, { value: 'y'.repeat(5000) });
    expect(container.textContent.length).toBeLessThan(500);
    await fireEvent.click(within(container).getByRole('button', { name: /Show all/ }));
    expect(container.textContent.length).toBeGreaterThan(5000);
  });
});

it('copies without a clipboard too, and says when it could not', async () => {
  const { copy } = await import('../text/copy');
  vi.stubGlobal('isSecureContext', false);
  document.execCommand = vi.fn(() => true);
  expect(await copy('the key')).toBe(true);
  document.execCommand = vi.fn(() => false);
  expect(await copy('the key')).toBe(false);
  expect(document.querySelector('textarea')).toBeNull();
  vi.unstubAllGlobals();
});
