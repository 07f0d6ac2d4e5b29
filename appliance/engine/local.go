package engine

import (
	"context"

	"cloister/llama"
	"cloister/llama/chat"
	"cloister/llama/sched"
	"cloister/lora/data"
	"cloister/lora/train"
)

// Options of an engine; the zero value is right for most.
type Options = sched.Options

// Local is the Engine in this process.
type Local struct {
	model *llama.Model
	sched *sched.Scheduler
}

var _ Engine = (*Local)(nil)

// OpenLocal loads a GGUF model into this process.
func OpenLocal(path string, o Options) (*Local, error) {
	m, err := llama.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := sched.New(m, o)
	if err != nil {
		_ = m.Close()
		return nil, err
	}
	return &Local{m, s}, nil
}

// Info implements Engine.
func (l *Local) Info(context.Context) (Info, error) {
	return Info{
		Architecture: l.model.Architecture(), Description: l.model.Description(),
		Parameters: l.model.Parameters(), SizeBytes: l.model.SizeBytes(), Vocabulary: l.model.Size(),
		TrainContext: l.model.TrainContext(), ServeContext: l.sched.ContextTokens(), ParallelSlots: l.sched.Slots(),
	}, nil
}

// Chat implements Engine.
func (l *Local) Chat(ctx context.Context, req ChatRequest, emit func(Chunk) error) (ChatResult, error) {
	return l.sched.Chat(ctx, req, emit)
}

// CountTokens implements Engine.
func (l *Local) CountTokens(_ context.Context, messages []chat.Message) (int, error) {
	toks, err := l.model.Prompt(messages)
	return len(toks), err
}

// Score implements Engine. The tokens that count are those of training: the
// same renderer marks them.
func (l *Local) Score(ctx context.Context, adapter string, messages []chat.Message) (Score, error) {
	row, err := data.Render(l.model, messages, l.sched.ContextTokens())
	if err != nil {
		return Score{}, err
	}
	sum, n, err := l.sched.Score(ctx, adapter, row.Tokens, row.Mask)
	return Score{LossSum: sum, Tokens: n}, err
}

// LoadAdapter implements Engine.
func (l *Local) LoadAdapter(ctx context.Context, name, path string) error {
	return l.sched.LoadAdapter(ctx, name, path)
}

// UnloadAdapter implements Engine.
func (l *Local) UnloadAdapter(ctx context.Context, name string) error {
	return l.sched.UnloadAdapter(ctx, name)
}

// Close implements Engine.
func (l *Local) Close() error {
	l.sched.Close()
	return l.model.Close()
}

// LocalTrainer is the Trainer in this process.
type LocalTrainer struct{}

var _ Trainer = LocalTrainer{}

// Train implements Trainer.
func (LocalTrainer) Train(ctx context.Context, req train.Request, emit func(train.Event)) (train.Result, error) {
	return train.Run(ctx, req, emit)
}
