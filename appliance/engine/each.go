package engine

import (
	"context"
	"errors"
	"sync"
)

// tries for a request whose worker dies.
const tries = 3

// Retry repeats a request whose worker died; the engine has a new one then.
func Retry[T any](ctx context.Context, f func() (T, error)) (T, error) {
	for n := 1; ; n++ {
		v, err := f()
		if !errors.Is(err, ErrWorkerDied) || n == tries || ctx.Err() != nil {
			return v, err
		}
	}
}

// Each calls f for 0 to n-1, several at a time, and returns the first
// error after all calls have ended.
func Each(ctx context.Context, workers, n int, f func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range min(workers, n) {
		wg.Go(func() {
			for i := range next {
				if err := f(ctx, i); err != nil {
					cancel(err)
				}
			}
		})
	}
feed:
	for i := range n {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}
