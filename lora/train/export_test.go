package train

import (
	"bytes"
	"context"

	"cloister/llama/gguf"
	"cloister/lora/data"
	"cloister/lora/model"
)

// What the tests reach besides the public face: a seam for the model and for
// the moment before a rename, and the parts that are checked by hand.

type Trainable = trainable

func RunWith(ctx context.Context, req Request, emit func(Event), open func(string, model.Config) (Trainable, error)) (Result, error) {
	return run(ctx, req, emit, open)
}

func EstimateWith(ctx context.Context, req Request, open func(string, model.Config) (Trainable, error)) (Estimation, error) {
	return estimate(ctx, req, open)
}

// PlanOf is the memory plan of a job.
func PlanOf(ctx context.Context, req Request) (Memory, error) {
	p, err := prepare(ctx, req)
	if err != nil {
		return Memory{}, err
	}
	_, m, err := p.fit(ctx, req)
	return m, err
}

var GroupMemory = groupMemory

// AdapterFrom reads an adapter out of memory.
func AdapterFrom(b []byte) (*Adapter, error) {
	f, err := gguf.Read(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return nil, err
	}
	return adapterOf(f)
}

func OnRename(f func(path string)) { beforeRename = f }

var LearningRate = learningRate

// AdamW makes one update of each gradient in turn and returns the param after it.
func AdamW(start float32, grads []float32, lr, decay, limit float64) []float32 {
	p := model.NewParam("", 1, 1)
	set := func(x model.Tensor, v float32) {
		if err := x.Write([]float32{v}); err != nil {
			panic(err)
		}
	}
	set(p.Data, start)
	o := newAdamW([]*model.Param{p}, &Hyperparameters{WeightDecay: decay, Beta1: defaultBeta1, Beta2: defaultBeta2, Epsilon: defaultEpsilon}, 1)
	var out []float32
	for _, g := range grads {
		set(p.Grad, g)
		norm, err := model.GradNorm(o.params, 1)
		if err == nil {
			err = o.update(lr, clip(norm, limit))
		}
		data, _ := p.Data.Values()
		if out = append(out, data[0]); err != nil {
			panic(err)
		}
	}
	return out
}

// SampleCheckpoint is a checkpoint file for params of those lengths.
func SampleCheckpoint(lengths []int) []byte {
	fill := func(from float32) (out []matrix) {
		for _, n := range lengths {
			values := make(onHost, n)
			for i := range values {
				values[i] = from + float32(i)
			}
			out = append(out, values)
		}
		return out
	}
	loss := 1.25
	s := &snapshot{
		position: position{
			Identity: identity{Base: "base", Examples: "examples", Hyperparameters: "hyper"}, HasBest: true,
			State: state{Step: 12, Updates: 11, Epoch: 1, Best: &EpochStat{Epoch: 1, Step: 10, ValidLoss: &loss}, Curve: []EpochStat{{Epoch: 1, Step: 10, TrainLoss: 2, ValidLoss: &loss}}},
		},
		params: fill(1), m: fill(2), v: fill(3), best: fill(4),
	}
	var b bytes.Buffer
	if err := s.encode(&b); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// DecodeCheckpoint reads a checkpoint file and returns its step and one value of each group.
func DecodeCheckpoint(b []byte, lengths []int) (step int, firsts []float32, err error) {
	s, err := decodeCheckpoint(bytes.NewReader(b), int64(len(b)), lengths)
	if err != nil {
		return 0, nil, err
	}
	for _, g := range [][][]float32{s.params, s.m, s.v, s.best} {
		if len(g) > 0 && len(g[0]) > 0 {
			firsts = append(firsts, g[0][0])
		}
	}
	return s.State.Step, firsts, s.State.check([]int{10, 20, 30})
}

// Learn is one step over all rows, without an update, and Measure the
// evaluation of them: gradients are added to the params'.
func Learn(m Trainable, h Hyperparameters, rows []data.Row, rowLen int) (learnt, measured model.Loss, rewards *Rewards, err error) {
	p := &prepared{h: h, train: rows, valid: rows, rowLen: rowLen}
	goal := newObjective(p, m)
	if err := goal.begin(context.Background(), func(Event) {}); err != nil {
		return learnt, measured, nil, err
	}
	numbers := make([]int, len(rows))
	for i := range numbers {
		numbers[i] = i
	}
	a, err := goal.learn(context.Background(), numbers)
	if err != nil {
		return learnt, measured, nil, err
	}
	b, err := goal.measure(context.Background())
	return a.Loss, b.Loss, a.rewards, err
}

// Into copies an adapter into params of the same shape.
func (a *Adapter) Into(params []*model.Param) error { return a.into(params) }
