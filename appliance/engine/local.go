package engine

import (
	"context"
	"sync"

	"cloister/llama"
	"cloister/llama/chat"
	"cloister/llama/sched"
	"cloister/lora/data"
	"cloister/lora/train"
)

// Local is the Engine in this process.
type Local struct {
	model  *llama.Model
	sched  *sched.Scheduler
	placed Placement

	mu     sync.RWMutex // held for reading by each call, so that Close waits for them
	closed bool
}

var _ Engine = (*Local)(nil)

// OpenLocal loads a GGUF model into this process. The error wraps ErrDevice
// when the card is to blame.
func OpenLocal(path string, o Options) (*Local, error) {
	e, err := openLocal(path, o, func(Placement) error { return nil })
	if err != nil {
		return nil, err
	}
	return e, nil
}

// openLocal is OpenLocal; it tells where the model will lie before it loads it.
func openLocal(path string, o Options, tell func(Placement) error) (*Local, error) {
	unlock, err := o.lock()
	if err != nil {
		return nil, err
	}
	defer unlock()
	p, where, err := place(path, o)
	if err != nil {
		return nil, err
	}
	if err := tell(p); err != nil {
		return nil, err
	}
	m, err := llama.OpenOn(path, where)
	if err != nil {
		return nil, p.blame(err)
	}
	s, err := sched.New(m, sched.Options{Context: o.Context, Slots: p.Slots, Threads: o.Threads})
	if err != nil {
		_ = m.Close()
		return nil, p.blame(err)
	}
	return &Local{model: m, sched: s, placed: p}, nil
}

// use runs f while the model is sure to be there.
func (l *Local) use(f func() error) error {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.closed {
		return ErrClosed
	}
	return f()
}

// Info implements Engine.
func (l *Local) Info(context.Context) (info Info, err error) {
	err = l.use(func() error {
		info = Info{
			Architecture: l.model.Architecture(), Description: l.model.Description(),
			Parameters: l.model.Parameters(), SizeBytes: l.model.SizeBytes(), Vocabulary: l.model.Size(),
			TrainContext: l.model.TrainContext(), ServeContext: l.sched.ContextTokens(), ParallelSlots: l.sched.Slots(),
			Placement: l.placed,
		}
		return nil
	})
	return info, err
}

// Chat implements Engine.
func (l *Local) Chat(ctx context.Context, req ChatRequest, emit func(Chunk) error) (res ChatResult, err error) {
	err = l.use(func() error {
		res, err = l.sched.Chat(ctx, req, emit)
		return err
	})
	return res, err
}

// CountTokens implements Engine.
func (l *Local) CountTokens(_ context.Context, messages []chat.Message) (n int, err error) {
	err = l.use(func() error {
		n, err = l.sched.CountTokens(messages)
		return err
	})
	return n, err
}

// Score implements Engine. The tokens that count are those of training: the
// same renderer marks them.
func (l *Local) Score(ctx context.Context, adapter string, messages []chat.Message) (s Score, err error) {
	err = l.use(func() error {
		row, err := data.Render(l.model, messages, l.sched.ContextTokens())
		if err != nil {
			return err
		}
		s.LossSum, s.Tokens, err = l.sched.Score(ctx, adapter, row.Tokens, row.Mask)
		return err
	})
	return s, err
}

// LoadAdapter implements Engine.
func (l *Local) LoadAdapter(ctx context.Context, name, path string) error {
	return l.use(func() error { return l.sched.LoadAdapter(ctx, name, path) })
}

// UnloadAdapter implements Engine.
func (l *Local) UnloadAdapter(ctx context.Context, name string) error {
	return l.use(func() error { return l.sched.UnloadAdapter(ctx, name) })
}

// Close implements Engine.
func (l *Local) Close() error {
	l.sched.Close() // ends the calls that hold mu
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	return l.model.Close()
}

// LocalTrainer is the Trainer and Estimator in this process.
type LocalTrainer struct{}

var (
	_ Trainer   = LocalTrainer{}
	_ Estimator = LocalTrainer{}
)

// Train implements Trainer.
func (LocalTrainer) Train(ctx context.Context, req train.Request, emit func(train.Event)) (train.Result, error) {
	return train.Run(ctx, req, emit)
}

// Estimate implements Estimator.
func (LocalTrainer) Estimate(ctx context.Context, req train.Request) (train.Estimation, error) {
	return train.Estimate(ctx, req)
}
