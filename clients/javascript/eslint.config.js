import js from '@eslint/js';

export default [
  { ignores: ['**/types/**'] },
  {
    ...js.configs.recommended,
    rules: {
      ...js.configs.recommended.rules,
      // The type checker knows the globals of browsers and Node better.
      'no-undef': 'off',
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
    },
  },
];
