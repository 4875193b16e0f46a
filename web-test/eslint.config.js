import js from '@eslint/js';

export default [
  { files: ['crates/chatroom-server/web/**/*.js', 'web-test/*.{js,mjs}'] },
  {
    ...js.configs.recommended,
    rules: {
      ...js.configs.recommended.rules,
      // The type checker knows the globals of the browser better.
      'no-undef': 'off',
      eqeqeq: 'error',
      'no-var': 'error',
      'prefer-const': 'error',
    },
  },
];
