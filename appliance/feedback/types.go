// Package feedback keeps what users say of answers: ratings, corrections and
// comments, by the id of the answer, masked before they are stored.
//
// A Service is safe for concurrent use.
package feedback

import (
	"time"

	"cloister/store"
)

// Request is a judgement of an answer. At least one of Rating, Correction and
// Comment is set.
type Request struct {
	AnswerID   string `json:"answer_id"`        // "chatcmpl-…"
	Rating     int    `json:"rating,omitempty"` // 1 (bad) to 5 (good); 0: none
	Correction string `json:"correction,omitempty"`
	Comment    string `json:"comment,omitempty"`
	By         string `json:"-"` // who says so: a key's id, or "local"
}

// Item is a judgement beside the answer that it judges; Answer is nil when the
// answer is no longer kept.
type Item struct {
	store.Feedback
	Answer *store.Answer `json:"answer,omitempty"`
}

// Report sums up the judgements of a time.
type Report struct {
	Since       time.Time   `json:"since"`
	Ratings     map[int]int `json:"ratings"` // judgements by rating, 1 to 5
	Mean        float64     `json:"mean"`    // of the ratings; 0 when there are none
	Corrections int         `json:"corrections"`
	Pending     int         `json:"pending"` // corrections that no dataset has taken up
	Worst       []Item      `json:"worst"`   // lowest rating first, newest first among equals
}

// ImportResult says what came of a file of ratings.
type ImportResult struct {
	Imported  int   `json:"imported"`
	Repeated  int   `json:"repeated,omitempty"`  // rows that were there already
	Unmatched []int `json:"unmatched,omitempty"` // rows whose answer or question is not among the kept answers
}
