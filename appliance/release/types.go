// Package release puts models behind aliases: a release needs an evaluation
// that passes the gate, switching is one transaction of the store and counts
// from the next request, and the earlier release stays ready to come back.
//
// A Service is safe for concurrent use.
package release

import "cloister/store"

// Status is an alias with its releases.
type Status struct {
	Alias   store.Alias     `json:"alias"`
	Current store.Release   `json:"current"`
	History []store.Release `json:"history"` // newest first, the current one included
}
