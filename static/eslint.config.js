import js from '@eslint/js';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

export default ts.config(
  { ignores: ['dist/', 'node_modules/'] },
  js.configs.recommended,
  ...ts.configs.strict,
  ...svelte.configs.recommended,
  { languageOptions: { globals: { ...globals.browser, ...globals.node } } },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: ['.svelte'], svelteConfig } },
  },
  {
    rules: {
      // The server's policy refuses these; so does the linter, earlier.
      'svelte/no-at-html-tags': 'error',
      'svelte/no-inline-styles': 'error',
      'no-eval': 'error',
      'no-console': 'error',
      'no-restricted-globals': ['error', 'localStorage', 'sessionStorage', 'indexedDB'],
      'no-restricted-properties': [
        'error',
        { property: 'innerHTML', message: 'Text only: what is shown may be an agent’s.' },
        { property: 'outerHTML', message: 'Text only: what is shown may be an agent’s.' },
        { property: 'insertAdjacentHTML', message: 'Text only: what is shown may be an agent’s.' },
      ],
      eqeqeq: 'error',
      // `call<void>` says that there is no answer.
      '@typescript-eslint/no-invalid-void-type': 'off',
      // Maps and queries here are made anew for each change, never changed in place.
      'svelte/prefer-svelte-reactivity': 'off',
    },
  },
);
