package engine

import (
	"testing"
	"time"
)

// SetPatience makes children of this test patient in another way.
func SetPatience(t *testing.T, window, retry time.Duration) {
	before := usualPatience
	usualPatience = patience{window: window, retry: retry, maxRetry: time.Hour}
	t.Cleanup(func() { usualPatience = before })
}
