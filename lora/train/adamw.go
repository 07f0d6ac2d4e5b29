package train

import (
	"strings"

	"cloister/lora/model"
)

// adamW is the optimiser (Loshchilov and Hutter, arXiv:1711.05101): Adam with
// bias correction and a weight decay that the moments do not see. Its moments
// are float32 and lie beside the params.
type adamW struct {
	params  []*model.Param
	threads int
	t       int // updates made
	h       *Hyperparameters
}

func newAdamW(params []*model.Param, h *Hyperparameters, threads int) *adamW {
	return &adamW{params: params, threads: threads, h: h}
}

// clip is the factor that brings a gradient of that norm down to limit, as
// torch.nn.utils.clip_grad_norm_ has it.
func clip(norm, limit float64) float64 { return min(1, limit/(norm+1e-6)) }

// update makes one step with the gradients times factor; see model.Step.
func (o *adamW) update(lr, factor float64) error {
	o.t++
	return model.Update(o.params, o.threads, func(p *model.Param) model.Step {
		step := model.Step{Step: o.t, Rate: lr, Beta1: o.h.Beta1, Beta2: o.h.Beta2, Epsilon: o.h.Epsilon, Decay: o.h.WeightDecay, Factor: factor}
		if o.h.LoraPlusRatio > 0 && strings.HasSuffix(p.Name, ".lora_b") { // LoRA+: B has another rate
			step.Rate *= o.h.LoraPlusRatio
		}
		return step
	})
}
