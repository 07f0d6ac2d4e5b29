package train

import (
	"errors"
	"math"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"cloister/lora/internal/native"
	"cloister/lora/model"
)

// adamW is the optimiser (Loshchilov and Hutter, arXiv:1711.05101): Adam with
// bias correction and a weight decay that the moments do not see. Its moments
// are float32.
type adamW struct {
	params  []*model.Param
	threads int
	m, v    [][]float32 // first and second moments, shaped as the params
	t       int         // updates made
	h       *Hyperparameters
}

func newAdamW(params []*model.Param, h *Hyperparameters, threads int) *adamW {
	return &adamW{params: params, threads: threads, m: like(params), v: like(params), h: h}
}

// norm is the Euclidean norm of all gradients together; not finite if one of
// them is not.
func norm(params []*model.Param, threads int) float64 {
	parts := make([]float64, len(params))
	each(len(params), threads, func(i int) { parts[i] = native.SumSquares(params[i].Grad) })
	sum := 0.0
	for _, v := range parts {
		sum += v
	}
	return math.Sqrt(sum)
}

// clip is the factor that brings a gradient of that norm down to limit, as
// torch.nn.utils.clip_grad_norm_ has it.
func clip(norm, limit float64) float64 { return min(1, limit/(norm+1e-6)) }

// update makes one step with the gradients times factor; see native.AdamW.
func (o *adamW) update(lr, factor float64) error {
	o.t++
	step := native.AdamW{Step: o.t, Rate: lr, Beta1: o.h.Beta1, Beta2: o.h.Beta2, Epsilon: o.h.Epsilon, Decay: o.h.WeightDecay, Factor: factor}
	errs := make([]error, len(o.params))
	each(len(o.params), o.threads, func(i int) {
		p, step := o.params[i], step
		if o.h.LoraPlusRatio > 0 && strings.HasSuffix(p.Name, ".lora_b") { // LoRA+: B has another rate
			step.Rate *= o.h.LoraPlusRatio
		}
		errs[i] = step.Update(p.Data, p.Grad, o.m[i], o.v[i])
	})
	runtime.KeepAlive(o) // and with it the moments
	return errors.Join(errs...)
}

// each calls f(0) to f(n-1) on that many threads; 0 means one for each core.
func each(n, threads int, f func(i int)) {
	if threads <= 0 {
		threads = runtime.NumCPU()
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, threads) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				f(i)
			}
		})
	}
	wg.Wait()
}
