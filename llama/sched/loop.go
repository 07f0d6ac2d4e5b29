package sched

import (
	"context"
	"fmt"

	"cloister/llama"
)

// quantum is the number of steps that one adapter's slots get before those of
// another have their turn.
const quantum = 8

// task is a request on its way through the loop: an answer to generate
// (mask nil) or a row to score.
type task struct {
	ctx     context.Context
	adapter string
	tokens  []int32 // the prompt, or the row to score

	req     Request
	grammar string // of req.Schema
	out     textOut
	chunks  chan Chunk // closed before end
	sampler *llama.Sampler
	result  Result

	mask    []bool
	lossSum float64
	scored  int

	err error
	end chan struct{} // closed when result and err are final
}

// adapter is a loaded adapter with the number of slots that run with it.
type adapter struct {
	a    *llama.Adapter
	refs int
	gone bool // forgotten: free it when refs falls to 0
}

// slot is one sequence of the context.
type slot struct {
	seq     int
	tokens  []int32  // what the cache holds, in order
	adapter *adapter // under which it was computed; nil for the base
	used    uint64   // the step of its last use

	task *task // nil when idle
	next int   // of task.tokens: the first one that is not in the batch yet
}

// want is a row of logits that a step has to look at.
type want struct {
	s     *slot
	pos   int // position in the slot's sequence
	index int // in the batch
}

// loop owns the context.
type loop struct {
	m        *llama.Model
	c        *llama.Context
	slots    []*slot
	waiting  []*task
	adapters map[string]*adapter
	wants    []want

	step    uint64
	current *adapter // whose turn it is
	turns   int      // steps of this turn so far
}

func (l *loop) run(s *Scheduler) {
	defer close(s.done)
	defer l.shutdown()
	for {
		if !l.receive(s) {
			return
		}
		l.dropCancelled()
		l.admit()
		if l.idle() {
			continue
		}
		l.step++
		l.fill(l.pick())
		l.runBatch()
	}
}

func (l *loop) idle() bool {
	for _, s := range l.slots {
		if s.task != nil {
			return false
		}
	}
	return true
}

// receive takes what callers have for the loop: one thing if it is idle, for
// which it waits, and else all that is there. It returns false on quit.
func (l *loop) receive(s *Scheduler) bool {
	wait := l.idle() && len(l.waiting) == 0
	for {
		if wait {
			select {
			case <-s.quit:
				return false
			case t := <-s.tasks:
				l.waiting = append(l.waiting, t)
			case f := <-s.commands:
				f(l)
			}
			return true
		}
		select {
		case <-s.quit:
			return false
		case t := <-s.tasks:
			l.waiting = append(l.waiting, t)
		case f := <-s.commands:
			f(l)
		default:
			return true
		}
	}
}

// dropCancelled ends tasks whose callers have gone.
func (l *loop) dropCancelled() {
	for _, s := range l.slots {
		if s.task != nil && s.task.ctx.Err() != nil {
			l.finish(s, s.task.ctx.Err())
		}
	}
	kept := l.waiting[:0]
	for _, t := range l.waiting {
		if err := t.ctx.Err(); err != nil {
			t.close(err)
			continue
		}
		kept = append(kept, t)
	}
	l.waiting = kept
}

// admit gives waiting tasks, in order, to idle slots.
func (l *loop) admit() {
	for len(l.waiting) > 0 {
		t := l.waiting[0]
		var a *adapter
		if t.adapter != "" {
			if a = l.adapters[t.adapter]; a == nil {
				t.close(fmt.Errorf("%w: %s", ErrNoAdapter, t.adapter))
				l.waiting = l.waiting[1:]
				continue
			}
		}
		s, shared := l.bestSlot(t, a)
		if s == nil {
			return
		}
		l.waiting = l.waiting[1:]
		l.start(s, t, a, shared)
	}
}

// bestSlot returns the idle slot that shares the longest prefix with the task,
// or the one that has been idle for longest, and the length of that prefix.
func (l *loop) bestSlot(t *task, a *adapter) (best *slot, shared int) {
	for _, s := range l.slots {
		if s.task != nil {
			continue
		}
		n := 0
		if s.adapter == a && t.mask == nil {
			for n < len(s.tokens) && n < len(t.tokens)-1 && s.tokens[n] == t.tokens[n] {
				n++
			}
		}
		if best == nil || n > shared || n == shared && s.used < best.used {
			best, shared = s, n
		}
	}
	return best, shared
}

func (l *loop) start(s *slot, t *task, a *adapter, shared int) {
	if shared < len(s.tokens) && !l.c.Truncate(s.seq, shared) {
		shared = 0
	}
	s.tokens = s.tokens[:shared]
	s.adapter, s.task, s.next = a, t, shared
	if a != nil {
		a.refs++
	}
	if t.mask == nil {
		t.result.PromptTokens, t.result.CachedTokens = len(t.tokens), shared
		var err error
		if t.sampler, err = l.m.NewSampler(t.req.Sampling, t.req.IgnoreEOS, t.grammar); err != nil {
			l.finish(s, err)
		}
	}
}

// pick returns the adapter whose slots this step serves.
func (l *loop) pick() *adapter {
	var oldest *slot
	stay := false
	for _, s := range l.slots {
		if s.task == nil {
			continue
		}
		if s.adapter == l.current {
			stay = true
		} else if oldest == nil || s.used < oldest.used {
			oldest = s
		}
	}
	if stay && (l.turns < quantum || oldest == nil) {
		l.turns++
		return l.current
	}
	l.current, l.turns = oldest.adapter, 1
	return l.current
}

// fill puts the next tokens of the adapter's slots into the batch: first one
// token for each answer under way, then as much of the prompts as has room.
func (l *loop) fill(a *adapter) {
	l.c.Clear()
	l.wants = l.wants[:0]
	for _, generating := range []bool{true, false} {
		for _, s := range l.slots {
			if s.task == nil || s.adapter != a || generating != (s.next == len(s.task.tokens)-1 && s.next >= s.task.result.PromptTokens && s.task.mask == nil) {
				continue
			}
			s.used = l.step
			for s.next < len(s.task.tokens) && l.c.Len() < BatchTokens {
				l.add(s)
			}
		}
	}
}

// add puts the slot's next token into the batch.
func (l *loop) add(s *slot) {
	t, pos := s.task, s.next
	last := pos == len(t.tokens)-1
	look := last && t.mask == nil || !last && t.mask != nil && t.mask[pos+1]
	index := l.c.Add(t.tokens[pos], pos, s.seq, look)
	s.tokens = append(s.tokens, t.tokens[pos])
	s.next++
	if look {
		l.wants = append(l.wants, want{s, pos, index})
	}
}

// runBatch decodes the batch and hands out the logits.
func (l *loop) runBatch() {
	var native *llama.Adapter
	if l.current != nil {
		native = l.current.a
	}
	err := l.c.SetAdapter(native)
	if err == nil {
		err = l.c.Decode()
	}
	if err != nil {
		for _, s := range l.slots {
			if s.task != nil && s.used == l.step {
				l.finish(s, err)
				l.forget(s)
			}
		}
		return
	}
	for _, w := range l.wants {
		if t := w.s.task; t.mask != nil {
			x := l.c.Logits(w.index)
			t.lossSum += logSumExp(x) - float64(x[t.tokens[w.pos+1]])
			t.scored++
		} else {
			l.extend(w)
		}
	}
	for _, s := range l.slots {
		if s.task != nil && s.task.mask != nil && s.next == len(s.task.tokens) {
			l.finish(s, nil)
		}
	}
}

// extend chooses the next token of an answer and decides whether it goes on.
func (l *loop) extend(w want) {
	s, t := w.s, w.s.task
	var lp *TokenLogprob
	var logits []float32
	if t.req.Logprobs {
		// The sampler changes nothing here: it works on a copy.
		logits = l.c.Logits(w.index)
	}
	tok, err := t.sampler.Sample(l.c, w.index)
	if err != nil {
		l.finish(s, err)
		return
	}
	t.result.CompletionTokens++
	if l.m.IsEOG(tok) {
		t.result.FinishReason = "stop"
		l.finish(s, nil)
		return
	}
	if logits != nil {
		lp = l.logprob(logits, tok, t.req.TopLogprobs)
	}
	chunk, stopped := t.out.push(l.m.VisiblePiece(tok), lp)
	if chunk.Text != "" {
		t.chunks <- chunk
	}
	t.tokens = append(t.tokens, tok)
	switch {
	case stopped:
		t.result.FinishReason = "stop"
	case t.result.CompletionTokens >= t.req.MaxTokens:
		t.result.FinishReason = "length"
	default:
		return
	}
	l.finish(s, nil)
}

// finish ends the slot's task. The slot keeps its tokens for the prefix cache.
func (l *loop) finish(s *slot, err error) {
	t := s.task
	s.task = nil
	if s.adapter != nil {
		s.adapter.refs--
		l.release(s.adapter)
	}
	if t.sampler != nil {
		t.sampler.Close()
	}
	t.close(err)
}

// close makes the task's outcome known to its caller.
func (t *task) close(err error) {
	t.err = err
	if t.chunks != nil {
		if err == nil {
			if c := t.out.flush(); c.Text != "" {
				t.chunks <- c
			}
			t.result.Text = t.out.text.String()
		}
		close(t.chunks)
	}
	close(t.end)
}

// forget empties a slot whose cache is not to be trusted.
func (l *loop) forget(s *slot) {
	l.c.Truncate(s.seq, 0)
	s.tokens, s.adapter = s.tokens[:0], nil
}

func (l *loop) loadAdapter(name, path string) error {
	a, err := l.m.LoadAdapter(path)
	if err != nil {
		return err
	}
	if _, ok := l.adapters[name]; ok {
		_ = l.unloadAdapter(name)
	}
	l.adapters[name] = &adapter{a: a}
	return nil
}

func (l *loop) unloadAdapter(name string) error {
	a := l.adapters[name]
	if a == nil {
		return fmt.Errorf("%w: %s", ErrNoAdapter, name)
	}
	delete(l.adapters, name)
	a.gone = true
	l.release(a)
	return nil
}

// release frees an adapter that nobody can ask for or uses any more.
func (l *loop) release(a *adapter) {
	if !a.gone || a.refs > 0 {
		return
	}
	for _, s := range l.slots {
		if s.adapter == a && s.task == nil {
			l.forget(s)
		}
	}
	_ = l.c.SetAdapter(nil)
	if l.current == a {
		l.current = nil
	}
	a.a.Close()
}

// shutdown ends what is left and frees the context.
func (l *loop) shutdown() {
	for _, s := range l.slots {
		if s.task != nil {
			l.finish(s, ErrClosed)
		}
	}
	for _, t := range l.waiting {
		t.close(ErrClosed)
	}
	for name := range l.adapters {
		_ = l.unloadAdapter(name)
	}
	l.c.Close()
}
