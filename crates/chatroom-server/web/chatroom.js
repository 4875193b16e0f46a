// The client library, as an ES module for any page: import { connect } from '/chatroom.js'.
export * from './client/index.js';
