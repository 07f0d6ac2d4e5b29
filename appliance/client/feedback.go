package client

import (
	"context"

	"cloister/appliance/admin"
	"cloister/appliance/feedback"
)

// AddFeedback judges an answer.
func (c *Client) AddFeedback(ctx context.Context, in feedback.Request) (admin.FeedbackAdded, error) {
	return post[admin.FeedbackAdded](ctx, c, "/v1/feedback", in)
}
