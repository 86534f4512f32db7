// Package auth makes credentials for NATS: a key for each role, and the part of a server's configuration that gives each no
// more than it needs.
//
// # Accounts
//
// Permissions on subjects alone protect nothing that JetStream keeps: whoever may publish anything that the server answers
// (a result, a request for a task) chooses the subject of the answer, and the server checks no permission when it sends it.
// So an answer could be aimed at a journal. Accounts have subject spaces of their own: coordinators have one, which holds
// the streams, the operators' tools one, and each group of workers one. What a group may do is what its account imports, with
// its name pinned in each subject; an answer never leaves the account of whoever asked. Permissions of users repeat the
// imports, so that what is denied is said at once.
//
// # Files
//
// A directory holds one seed a user (mode 0600), users.json (who there is; public keys only), auth.conf (for the server; public
// keys only), tokens for the HTTP API, and Secrets for Kubernetes. Everything but seeds and tokens is written anew from
// users.json at each change.
package auth
