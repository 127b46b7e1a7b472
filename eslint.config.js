import { defineConfig, globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

const NODE_GLOBALS = [
  'console',
  'fetch',
  'performance',
  'process',
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'URL',
];

const BROWSER_GLOBALS = ['addEventListener', 'devicePixelRatio', 'document', 'matchMedia', 'uPlot', 'window'];
const globals = (names) => Object.fromEntries(names.map((name) => [name, 'readonly']));

/** Rooms that are replayed in simulated time: what they do may depend on their inputs alone. */
const DETERMINISTIC_ROOMS = ['core', 'controller', 'planner', 'loop', 'plant'];

export default defineConfig([
  globalIgnores(['dist/', 'coverage/', 'node_modules/']),
  { linterOptions: { reportUnusedDisableDirectives: 'error', noInlineConfig: true } },
  {
    files: ['**/*.ts', '**/*.mts'],
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/prefer-readonly': 'error',
      '@typescript-eslint/return-await': 'error',
    },
  },
  {
    files: ['**/*.mjs', '**/*.js'],
    extends: [tseslint.configs.recommended],
    languageOptions: { globals: globals(NODE_GLOBALS) },
    rules: {
      'no-undef': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
    },
  },
  {
    // What reports run in a browser.
    files: ['src/**/assets/*.js'],
    languageOptions: { sourceType: 'script', globals: globals(BROWSER_GLOBALS) },
  },
  {
    rules: {
      eqeqeq: 'error',
      'object-shorthand': 'error',
      'no-restricted-imports': [
        'error',
        { paths: [{ name: 'mathjs', message: 'mathjs/number starts in a fraction of the time and memory' }] },
      ],
    },
  },
  {
    files: DETERMINISTIC_ROOMS.map((room) => `src/${room}/**`),
    ignores: ['src/core/clock.ts'],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'Date', property: 'now', message: 'Time comes from a Clock' },
        { object: 'performance', property: 'now', message: 'Time comes from a Clock' },
        { object: 'process', property: 'hrtime', message: 'Time comes from a Clock' },
        { object: 'Math', property: 'random', message: 'Randomness comes from a seeded source' },
      ],
    },
  },
]);
