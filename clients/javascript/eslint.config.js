import js from '@eslint/js';

export default [
  { ignores: ['**/types/**'] },
  {
    ...js.configs.recommended,
    rules: {
      ...js.configs.recommended.rules,
      // The type checker knows the globals of browsers and Node better.
      'no-undef': 'off',
      'no-unused-vars': ['error', { varsIgnorePattern: '^_', argsIgnorePattern: '^_' }],
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
    },
  },
];
