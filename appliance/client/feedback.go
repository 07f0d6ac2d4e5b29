package client

import (
	"context"

	"cloister/appliance/feedback"
)

// FeedbackAdded is the answer to AddFeedback.
type FeedbackAdded struct {
	ID        string `json:"id"` // "fb-…"
	Object    string `json:"object"`
	CreatedAt int64  `json:"created_at"` // Unix time
	AnswerID  string `json:"answer_id"`
	Rating    int    `json:"rating"` // 0: none given
}

// AddFeedback judges an answer.
func (c *Client) AddFeedback(ctx context.Context, in feedback.Request) (FeedbackAdded, error) {
	return post[FeedbackAdded](ctx, c, "/v1/feedback", in)
}
