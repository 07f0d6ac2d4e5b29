package train

import (
	"fmt"
	"io"
	"strconv"

	"cloister/lora/model"
)

// dump writes what the first step has computed, so that another program, such
// as PyTorch, can repeat it: a safetensors file with
//
//	<name of a matrix in the adapter>   F32  the gradient of the loss, before clipping
//	example.<n>.tokens                  I32  the tokens of each example of the step
//	example.<n>.targets                 I32  at each position the token to predict next, or -1
//
// and as metadata "loss", the sum of -ln p over all targets divided by their
// number, which is "targets"; "tokens"; "norm" of the whole gradient; "alpha"
// and "rank" of the adapter; and "precision".
func (j *job) dump(b *batch) error {
	norm, err := model.GradNorm(j.m.Params(), j.req.Threads)
	if err != nil {
		return err
	}
	var tensors []safetensor
	for _, p := range j.m.Params() {
		grad, err := p.Grad.Values()
		if err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
		tensors = append(tensors, safetensor{name: p.Name, shape: []int{p.Rows, p.Cols}, floats: grad})
	}
	for n := range b.rows {
		r := &b.rows[n]
		targets := make([]int32, len(r.Tokens))
		for i := range targets {
			if targets[i] = -1; i+1 < len(r.Tokens) && r.Mask[i+1] {
				targets[i] = r.Tokens[i+1]
			}
		}
		name := fmt.Sprintf("example.%d.", n)
		tensors = append(tensors,
			safetensor{name: name + "tokens", shape: []int{len(r.Tokens)}, ints: r.Tokens},
			safetensor{name: name + "targets", shape: []int{len(targets)}, ints: targets})
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	metadata := map[string]string{
		"loss": number(b.mean()), "targets": strconv.Itoa(b.Tokens), "tokens": strconv.Itoa(b.tokens), "examples": strconv.Itoa(len(b.rows)),
		"norm": number(norm), "alpha": number(j.h.fileAlpha()), "rank": strconv.Itoa(j.h.Rank), "precision": j.h.Precision,
	}
	err = writeAtomically(j.req.DumpPath, func(w io.Writer) error { return writeSafetensors(w, metadata, tensors) })
	if err != nil {
		return fmt.Errorf("cannot write the gradients: %w", err)
	}
	j.emit(Event{Kind: "info", Message: fmt.Sprintf("The gradients of the first step are in %s", j.req.DumpPath)})
	return nil
}
